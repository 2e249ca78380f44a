"""Compares the vocabulary sizes of a checkpoint and of the model that gin describes."""

from collections.abc import Sequence
from typing import Any

from primer.checkpoints import checkpoint_files
from primer.errors import RunError, UsageError

_EMBEDDING = "embedding"


def check_embedding_size(model: Any, paths: Sequence[str]) -> None:
    """Raises UsageError, before the model is built, where no checkpoint has its number of ids.

    Checkpoints that cannot be read, and some of several that do not fit, are an error when they are
    restored.

    Args:
        model: a Mesh-TF Unitransformer.
        paths: the checkpoints.
    """
    expected = model.input_vocab_dim.size
    sizes = {path: _embedding_size(path) for path in paths}
    known = sorted({size for size in sizes.values() if size})
    if not known or expected in known:
        return
    path = next(path for path, size in sizes.items() if size == known[0])
    raise UsageError(
        f"the vocabulary does not fit: {path} has an embedding of {known[0]:,} ids, and the task's "
        f"vocabulary gives the model {expected:,} ({model.input_vocab_size_unpadded:,} of the "
        "vocabulary, padded); evaluate with the vocabulary that it was trained with "
        "(task_vocabulary.name, task_vocabulary.model_file)"
    )


def _embedding_size(path):
    """Returns the ids of a checkpoint's embedding; None without one, or if it cannot be read."""
    try:
        shapes = checkpoint_files.open_reader(path).get_variable_to_shape_map()
    except RunError:
        return None
    sizes = [s[-2] for name, s in shapes.items() if name.split("/")[-1] == _EMBEDDING and s[1:]]
    return sizes[0] if sizes else None
