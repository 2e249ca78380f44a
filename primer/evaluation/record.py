"""What a model directory says of the model in it: its gin settings, and its wiring to compare."""

import os

from primer.errors import RunError, UsageError

CONFIGS = ("config.gin", "operative_config.gin")


def config_file(model_dir) -> str:
    """The gin file with the settings that a directory was trained with.

    Imports TensorFlow for remote directories only.

    Raises:
      UsageError: there is no such directory, or no such file in it.
    """
    exists = _exists_remote if "://" in model_dir else os.path.exists
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


def check(model_dir, model, vocabulary):
    """Raises UsageError where the directory was trained with another wiring or vocabulary.

    Two models may have the same variables and be different functions; `primer.json` tells them
    apart.
    """
    from primer.runtime import model_directory, wiring

    model_directory.check(model_dir, wiring.description(model, vocabulary))


def check_vocabulary(paths, model):
    """Raises UsageError where none of the checkpoints has embeddings of the model's vocabulary.

    That is what is left to look at where no `primer.json` says which vocabulary it was. Checkpoints
    that cannot be read are not looked at; whoever restores them says so.
    """
    expected = model.output_vocab_dim.size
    found = {path: size for path in paths if (size := _embedded(path)) is not None}
    if found and expected not in found.values():
        path, size = list(found.items())[-1]
        raise UsageError(
            f"the vocabulary does not fit the checkpoint {path}: that has embeddings of {size:,} "
            f"ids, and gin's vocabulary makes {expected:,} (rounded up); name the one that it was "
            "trained with (task_vocabulary.name and .model_file, or the task's own)"
        )


def _embedded(path):
    """The ids that a checkpoint has embeddings of, or None."""
    from primer.runtime import checkpoints

    try:
        shapes = checkpoints.reader(path).get_variable_to_shape_map()
    except RunError:
        return None
    sizes = {shape[-2] for name, shape in shapes.items() if _is_embedding(name, shape)}
    return sizes.pop() if len(sizes) == 1 else None


def _is_embedding(name, shape):
    return name.split("/")[-1] == "embedding" and len(shape) >= 2
