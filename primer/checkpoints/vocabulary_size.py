"""Whether a checkpoint has the vocabulary of the model that gin describes, before it is built."""

from primer.checkpoints import checkpoint_files
from primer.errors import RunError, UsageError

_EMBEDDING = "embedding"


def check_embedding_size(model, paths):
    """Raises UsageError where no checkpoint has as many ids as the model.

    Checkpoints that cannot be read, and single ones that do not fit, are for whoever restores them.

    Args:
        model: a Mesh-TF Unitransformer.
        paths: of checkpoints.
    """
    expected = model.input_vocab_dim.size
    found = {path: _rows(path) for path in paths}
    sizes = sorted({rows for rows in found.values() if rows})
    if not sizes or expected in sizes:
        return
    raise UsageError(
        f"the vocabulary does not fit: {_first(found, sizes[0])} has an embedding of "
        f"{sizes[0]:,} ids, and the task's vocabulary gives the model {expected:,} "
        f"({model.input_vocab_size_unpadded:,} of the vocabulary, padded); evaluate with the "
        "vocabulary that it was trained with (task_vocabulary.name, task_vocabulary.model_file)"
    )


def _rows(path):
    """The ids of a checkpoint's embedding; None where it has none or cannot be read."""
    try:
        shapes = checkpoint_files.open_reader(path).get_variable_to_shape_map()
    except RunError:
        return None
    sizes = [s[-2] for name, s in shapes.items() if name.split("/")[-1] == _EMBEDDING and s[1:]]
    return sizes[0] if sizes else None


def _first(found, size):
    return next(path for path, rows in found.items() if rows == size)
