"""How far the routing of experts is from a tie, so that comparisons between graphs are exact.

Two graphs of one model round in different orders. Where the probabilities of two experts are nearly
equal, a token may then go to another expert, which at a low capacity displaces further tokens.
Tests that compare graphs with experts therefore use weights and inputs whose decisions have a
margin, and this module checks it.
"""

import contextlib

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

# The least difference of the probabilities between which a router decides. In float32 they differ
# by some 1e-7 between two graphs.
LEAST = 1e-5
# Not empty inside `ignored`.
_ignored: list[int] = []


@contextlib.contextmanager
def recorded():
    """Yields a list that gets a scalar Tensor for each decision built inside the block.

    A decision is a `mtf.top_1` over experts or a `mtf.top_k` over tokens; the scalar is the
    smallest difference between the last value that was chosen and the first that was not.
    """
    if _ignored:
        yield []
        return
    margins, stock_top_1, stock_top_k = [], mtf.top_1, mtf.top_k

    def top_1(x, reduced_dim, **settings):
        value, index = stock_top_1(x, reduced_dim, **settings)
        others = x - 1e9 * mtf.one_hot(index, reduced_dim, dtype=x.dtype)
        margins.append(_smallest(value - mtf.reduce_max(others, reduced_dim=reduced_dim)))
        return value, index

    def top_k(x, reduced_dim, k_dim, **settings):
        if k_dim.size < reduced_dim.size:
            more = mtf.Dimension(k_dim.name, k_dim.size + 1)
            values = stock_top_k(x, reduced_dim, more, **settings)[0]
            last, first_left_out = (
                mtf.gather(values, mtf.constant(x.mesh, i, dtype=tf.int32), more)
                for i in (k_dim.size - 1, k_dim.size)
            )
            # Tokens with the gate 0 take no slot, whichever of them is chosen.
            unused = mtf.to_float(mtf.equal(first_left_out, 0.0))
            margins.append(_smallest(last - first_left_out + unused))
        return stock_top_k(x, reduced_dim, k_dim, **settings)

    mtf.top_1, mtf.top_k = top_1, top_k
    try:
        yield margins
    finally:
        mtf.top_1, mtf.top_k = stock_top_1, stock_top_k


@contextlib.contextmanager
def ignored():
    """Records no decision inside the block: where others chose the weights and the inputs."""
    _ignored.append(1)
    try:
        yield
    finally:
        _ignored.pop()


@contextlib.contextmanager
def exported():
    """Yields a list that gets a TensorFlow scalar for each decision of a graph lowered inside.

    For graphs that Mesh-TensorFlow's own model function lowers.
    """
    scalars, stock = [], mtf.Lowering

    class Lowering(stock):
        def __init__(self, graph, *args, **settings):
            super().__init__(graph, *args, **settings)
            scalars.extend(self.export_to_tf_tensor(margin) for margin in margins)

    with recorded() as margins:
        mtf.Lowering = Lowering
        try:
            yield scalars
        finally:
            mtf.Lowering = stock


def _smallest(differences):
    """Returns the smallest difference; equal values count as far apart.

    Equal values come from equal inputs, such as the zeros of empty slots, in every graph.
    """
    equal = mtf.to_float(mtf.equal(differences, 0.0))
    return mtf.reduce_min(mtf.to_float(differences) + equal)


def check(values):
    """Fails unless every margin is at least LEAST.

    Args:
        values: the values of the scalars that `recorded` gave.
    """
    smallest = min(values, default=1.0)
    assert smallest >= LEAST, (
        f"a router decides between probabilities that differ by {smallest:.1e}: rounding may send "
        "a token to another expert; change the seed of this test's weights or inputs"
    )
