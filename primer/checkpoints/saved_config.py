"""The gin file with the settings that a model directory was trained with."""

import os

from primer.common import user_paths
from primer.errors import UsageError

CONFIGS = ("config.gin", "operative_config.gin")


def config_file(model_dir: str) -> str:
    """Returns the path of the gin file with the settings of a directory's training.

    Imports TensorFlow for remote directories only.

    Raises:
        UsageError: there is no such directory, or no such file in it.
    """
    exists = _exists_remote if user_paths.is_remote(model_dir) else os.path.exists
    if not exists(model_dir):
        raise UsageError(f"model_dir = {model_dir!r}: there is no such directory")
    for name in CONFIGS:
        path = os.path.join(model_dir, name)
        if exists(path):
            return path
    raise UsageError(
        f"model_dir = {model_dir!r} has neither {' nor '.join(CONFIGS)}: nothing was trained there"
    )


def _exists_remote(path):
    import tensorflow as tf

    return tf.io.gfile.exists(path)
