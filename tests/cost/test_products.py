"""Matrix products are counted, and what only selects, scales or sums is not."""

import mesh_tensorflow as mtf
import pytest
import tensorflow.compat.v1 as tf

from primer.cost import products
from tests.cost.graphs import mesh, shape, tensor


def multiply_adds(x):
    return sum(number for _, number in products.products(x.graph))


def test_a_product_of_matrices_has_all_dimensions():
    place = mesh()
    x, w = tensor(place, batch=2, length=3, d_model=5), tensor(place, d_model=5, d_ff=7)
    assert multiply_adds(mtf.einsum([x, w], shape(batch=2, length=3, d_ff=7))) == 2 * 3 * 5 * 7


def test_the_logits_of_attention_are_a_product_for_each_head():
    place = mesh()
    q, k = tensor(place, length=3, heads=2, d_kv=5), tensor(place, memory=4, heads=2, d_kv=5)
    assert multiply_adds(mtf.einsum([q, k], shape(length=3, heads=2, memory=4))) == 3 * 4 * 2 * 5


@pytest.mark.parametrize(
    "sizes, output",
    [
        (dict(length=3, d_model=5), dict(length=3, d_model=5)),  # A mask, a gate, a norm.
        (dict(d_model=5), dict(length=3, d_model=5)),  # A scale.
        (dict(length=3, d_model=5), dict(length=3)),  # Products of vectors.
        (dict(length=3, choice=2), dict(length=3, choice=2, d_model=5)),  # An outer product.
        (dict(d_model=5), dict(length=3)),  # A weighted sum.
    ],
)
def test_other_products_are_not_counted(sizes, output):
    place = mesh()
    x = tensor(place, length=3, d_model=5)
    assert multiply_adds(mtf.einsum([x, tensor(place, **sizes)], shape(**output))) == 0


def one_hot(place, **sizes):
    """A one-hot tensor whose last dimension numbers rows of a table."""
    *others, (name, size) = sizes.items()
    return mtf.one_hot(mtf.zeros(place, shape(**dict(others)), tf.int32), mtf.Dimension(name, size))


def test_a_gather_is_not_counted():
    place = mesh()
    indices = mtf.zeros(place, shape(length=3), tf.int32)
    table = tensor(place, vocab=9, d_model=5)
    assert multiply_adds(mtf.gather(table, indices, mtf.Dimension("vocab", 9))) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x * tensor(x.mesh, length=3),
        lambda x: mtf.cast(mtf.cast(x, tf.bool), tf.float32),
        lambda x: x + x * 2.0,
        lambda x: mtf.replace_dimensions(x, mtf.Dimension("vocab", 9), mtf.Dimension("ids", 9)),
    ],
    ids=["gates", "dispatch", "sum", "renamed"],
)
def test_a_selection_with_other_values_is_one(change):
    place = mesh()
    selection = change(one_hot(place, length=3, vocab=9))
    table = tensor(place, **{selection.shape.dims[-1].name: 9, "d_model": 5})
    assert multiply_adds(mtf.einsum([selection, table], shape(length=3, d_model=5))) == 0


def test_what_was_selected_is_no_selection():
    place = mesh()
    table, w = tensor(place, vocab=9, d_model=5), tensor(place, d_model=5, d_ff=7)
    x = mtf.einsum([one_hot(place, length=3, vocab=9), table], shape(length=3, d_model=5))
    assert multiply_adds(mtf.einsum([x, w], shape(length=3, d_ff=7))) == 3 * 5 * 7


def test_a_selection_plus_dense_values_is_no_selection():
    place = mesh()
    x = one_hot(place, length=3, d_model=5) + tensor(place, length=3, d_model=5)
    y = mtf.einsum([x, tensor(place, d_model=5, d_ff=7)], shape(length=3, d_ff=7))
    assert multiply_adds(y) == 3 * 5 * 7


def test_cumulative_sums_are_not_counted():
    """Mesh-TensorFlow multiplies by a triangle of ones."""
    place = mesh()
    assert (
        multiply_adds(mtf.cumsum(tensor(place, length=3, heads=2), mtf.Dimension("length", 3))) == 0
    )


def test_masked_weights_are_no_mask():
    place = mesh()
    weights = tensor(place, length=3, memory=4)
    mask = mtf.cast(mtf.greater(weights, 0.5), tf.float32)
    values = tensor(place, memory=4, d_kv=5)
    y = mtf.einsum([weights * mask, values], shape(length=3, d_kv=5))
    assert multiply_adds(y) == 3 * 4 * 5


def test_an_operation_may_say_its_multiply_adds():
    class Fused(mtf.Operation):
        multiply_adds = 42

    place = mesh()
    x = tensor(place, length=3)
    Fused([x], name="fused")
    assert multiply_adds(x) == 42


def test_the_weight_behind_a_cast_and_a_reshape_is_found():
    place = mesh()
    with tf.Graph().as_default():
        weight = mtf.get_variable(place, "w", shape(d_model=5, d_ff=7))
        cast = mtf.cast(weight, tf.bfloat16)
    renamed = mtf.replace_dimensions(cast, mtf.Dimension("d_ff", 7), mtf.Dimension("other", 7))
    assert products.weight_of(renamed) is weight.operation
    assert products.weight_of(renamed * renamed) is None
    assert products.weight_of(tensor(place, length=3)) is None
