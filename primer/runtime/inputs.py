"""From an input function to the tensors of one batch, and the state of what reads them."""

import weakref

import tensorflow.compat.v1 as tf

# Graph -> the iterators of its input pipeline. (A graph collection would go into every .meta file,
# which cannot hold them.)
_iterators = weakref.WeakKeyDictionary()


def iterators():
    """The iterators of the default graph's input pipeline."""
    return _iterators.get(tf.get_default_graph(), [])


def features(input_fn):
    """The features of the next batch of `input_fn(params)`'s data set, inside the default graph."""
    result = input_fn({})
    if not hasattr(result, "map"):  # Tensors already.
        return result
    iterator = tf.data.make_initializable_iterator(result)
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    _iterators.setdefault(tf.get_default_graph(), []).append(iterator)
    batch = iterator.get_next()
    return batch[0] if isinstance(batch, tuple) else batch
