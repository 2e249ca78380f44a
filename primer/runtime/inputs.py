"""Makes the tensors of one batch, and the iterator that reads them, from an input function."""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf
from tensorflow.python.autograph.core import ag_ctx
from tensorflow.python.data.ops import structured_function
from tensorflow.python.ops import script_ops

from primer.common import tf_data


class Input(NamedTuple):
    """The input of a graph.

    Attributes:
        features: the tensors of the next batch, by name.
        iterator: the iterator that reads them, or None where the input function returned tensors.
    """

    features: Any
    iterator: tf.data.Iterator | None


def features(input_fn: Callable) -> Any:
    """Returns the features of the next batch, in the default graph.

    Args:
        input_fn: a function of `params` that returns a data set or tensors.
    """
    return with_iterator(input_fn).features


def with_iterator(input_fn: Callable) -> Input:
    """Returns the features of the next batch with their iterator; arguments as for `features`."""
    with _traced_without_autograph():
        result = input_fn({})
    if not hasattr(result, "map"):
        return Input(result, None)
    iterator = tf.data.make_initializable_iterator(tf_data.without_autotuning(result))
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    batch = iterator.get_next()
    return Input(batch[0] if isinstance(batch, tuple) else batch, iterator)


@contextlib.contextmanager
def python_functions_numbered_from_zero() -> Iterator[None]:
    """Names the Python functions of a graph by their order in it, for the training input.

    The saved position of a pipeline calls each function by its name, which TensorFlow takes from
    a counter of the process: after any other pipeline was built before, as by another option of
    the command, the restored one would call other functions.
    """
    registry = script_ops._py_funcs
    names = (f"training_input_{number}" for number in itertools.count())
    registry._next_unique_token = lambda: next(names)
    try:
        yield
    finally:
        del registry._next_unique_token


@contextlib.contextmanager
def _traced_without_autograph() -> Iterator[None]:
    """Traces the functions of data sets without AutoGraph where possible.

    AutoGraph rewrites the source of each function that `map` and similar methods get, and of all
    that it calls: five seconds of a start for the pipeline of T5's `lm`, whose functions do not
    need it. A function that does (an `if` or a loop over a tensor) raises when it is traced without
    AutoGraph, and is then traced with it.
    """
    wrapper = structured_function.StructuredFunctionWrapper
    stock = wrapper.__init__

    @functools.wraps(stock)
    def init(self, *args, **kwargs):
        try:
            with ag_ctx.ControlStatusCtx(status=ag_ctx.Status.DISABLED):
                stock(self, *args, **kwargs)
        except Exception:  # A function can raise any class of error over a symbolic tensor.
            stock(self, *args, **kwargs)

    wrapper.__init__ = init
    try:
        yield
    finally:
        wrapper.__init__ = stock
