"""The digest of an input pipeline's graph, and the files that it names."""

import numpy as np
import tensorflow.compat.v1 as tf

from primer.runtime import inputs
from primer.runtime.training import input_graph


def graph_of(factor=2, path="/none"):
    """The graph of a pipeline with a constant, a Python function, a loop and a path."""

    def doubled(x):
        return np.asarray(x * factor)

    def step(x):
        x = tf.numpy_function(doubled, [x], tf.int64, stateful=False)
        x = tf.while_loop(lambda x: x < 100, lambda x: x * x, [tf.ensure_shape(x, []) + 2])
        return x, tf.io.read_file(path)

    def input_fn(params):
        del params
        return tf.data.Dataset.range(3).map(step).map(lambda x, text: {"x": x + factor}).batch(2)

    with tf.Graph().as_default() as graph, inputs.python_functions_numbered_from_zero():
        inputs.with_iterator(input_fn)
    return graph.as_graph_def()


def test_the_digest_does_not_depend_on_what_the_process_built_before():
    first = graph_of()
    tf.numpy_function(lambda x: x, [1], tf.int32)
    second = graph_of()
    assert {f.signature.name for f in first.library.function} != {
        f.signature.name for f in second.library.function
    }
    assert input_graph.digest(first) == input_graph.digest(second)


def test_the_digest_depends_on_constants_inside_functions():
    assert len({input_graph.digest(graph_of(factor)) for factor in (2, 3)}) == 2


def test_files_are_found_inside_functions(tmp_path):
    path = tmp_path / "text"
    path.write_text("a")
    assert input_graph.named_files(graph_of(path=str(path))) == [str(path)]
    assert input_graph.named_files(graph_of(path=f"{path}\0")) == []
