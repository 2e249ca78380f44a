"""The optimizers of gin/optimizers/, as a run reads them."""

import gin

from primer.gin_config import config_files
from tests import gin_models

PRESETS = config_files.names_of_kind("optimizers")


def optimizer(name, bindings=()):
    """Returns the optimizer of a file, to be called with `learning_rate`.

    Args:
        name: the file's name, without folder and ending.
        bindings: further lines of gin.
    """
    files = [config_files.MODEL_DEFAULTS, config_files.gin_file("optimizers", name)]
    gin_models.parse(files, bindings)
    return configured()


def configured():
    """Returns the optimizer that the slot names."""
    return slot("optimizer").scoped_configurable_fn


def slot(name):
    """Returns the value of a slot."""
    return gin.query_parameter(f"{name}/macro.value")
