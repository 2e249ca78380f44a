"""From an input function to the tensors of one batch, and the state of what reads them."""

import contextlib
import functools
import weakref

import tensorflow.compat.v1 as tf
from tensorflow.python.autograph.core import ag_ctx
from tensorflow.python.data.ops import structured_function

from primer.common import tf_data

# Graph -> the iterators of its input pipeline. (A graph collection would go into every .meta file,
# which cannot hold them.)
_iterators = weakref.WeakKeyDictionary()


def iterators():
    """The iterators of the default graph's input pipeline."""
    return _iterators.get(tf.get_default_graph(), [])


def features(input_fn):
    """The features of the next batch of `input_fn(params)`'s data set, inside the default graph."""
    with _traced_as_written():
        result = input_fn({})
    if not hasattr(result, "map"):  # Tensors already.
        return result
    iterator = tf.data.make_initializable_iterator(tf_data.without_autotuning(result))
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    _iterators.setdefault(tf.get_default_graph(), []).append(iterator)
    batch = iterator.get_next()
    return batch[0] if isinstance(batch, tuple) else batch


@contextlib.contextmanager
def _traced_as_written():
    """Lets the functions of data sets be traced without AutoGraph where they can be.

    AutoGraph rewrites the source of each function that `map` and its like are given, and of all
    that those call: five seconds of a start for the pipeline of T5's `lm`, whose functions need
    none of it. One that does (an `if` or a loop over a tensor) raises when it is traced as it is
    written, and is then traced as TensorFlow would have done at once.
    """
    wrapper = structured_function.StructuredFunctionWrapper
    stock = wrapper.__init__

    @functools.wraps(stock)
    def init(self, *args, **kwargs):
        try:
            with ag_ctx.ControlStatusCtx(status=ag_ctx.Status.DISABLED):
                stock(self, *args, **kwargs)
        except Exception:  # What a function raises over a tensor is its own choice.
            stock(self, *args, **kwargs)

    wrapper.__init__ = init
    try:
        yield
    finally:
        wrapper.__init__ = stock
