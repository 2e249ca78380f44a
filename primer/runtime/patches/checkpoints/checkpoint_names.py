"""TensorFlow, Mesh-TF 0.1.21 and t5 0.9.4 read checkpoints from wherever a name leads them.

TensorFlow follows an absolute path in the file `checkpoint` of a directory that was copied or
moved, to read and to delete there. Mesh-TF and t5 take the name of a model directory for a pattern:
of `runs/lr[0.1]` they find no checkpoint, or those of `runs/lr0`.
"""

import functools
import os
from collections.abc import Callable
from types import ModuleType

from primer.checkpoints import checkpoint_state, pattern_free


def patch(module: ModuleType) -> None:
    """Patches TensorFlow's `checkpoint_management`, and the functions that list checkpoints.

    Args:
        module: that module, `mesh_tensorflow.transformer.utils` or `t5.models.utils`.
    """
    for name, wrap in _WRAPPERS.items():
        if hasattr(module, name):
            setattr(module, name, wrap(getattr(module, name)))


def _inside_the_directory(stock: Callable) -> Callable:
    @functools.wraps(stock)
    def get_checkpoint_state(checkpoint_dir, latest_filename=None):
        state = stock(checkpoint_dir, latest_filename)
        if state is not None:
            directory = os.fspath(checkpoint_dir)
            move = functools.partial(checkpoint_state.inside, directory)
            state.model_checkpoint_path = move(state.model_checkpoint_path)
            state.all_model_checkpoint_paths[:] = map(move, state.all_model_checkpoint_paths)
        return state

    return get_checkpoint_state


def _paths_of_a_literal_directory(stock: Callable) -> Callable:
    @functools.wraps(stock)
    def get_checkpoint_iterator(checkpoint_step, model_dir, *args, **kwargs):
        literal = pattern_free.readable_directory(model_dir)
        found = stock(checkpoint_step, literal, *args, **kwargs)
        if literal == model_dir:
            return found
        return (path and checkpoint_state.inside(model_dir, path) for path in found)

    return get_checkpoint_iterator


def _steps_of_a_literal_directory(stock: Callable) -> Callable:
    @functools.wraps(stock)
    def steps(*args):
        *others, model_dir = args
        return stock(*others, model_dir and pattern_free.readable_directory(model_dir))

    return steps


_WRAPPERS = {
    "get_checkpoint_state": _inside_the_directory,
    "get_checkpoint_iterator": _paths_of_a_literal_directory,
    "get_checkpoints_iterator": _steps_of_a_literal_directory,
    "get_latest_checkpoint_from_dir": _steps_of_a_literal_directory,
}
