"""Lookup in an embedding table equals Mesh-TF's product with one-hot rows, with its gradient."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.runtime.ops import embedding_lookup
from tests.runtime.ops.vocabulary_ops import (
    BATCH,
    IDS,
    LENGTH,
    MESHES,
    VOCAB,
    WIDTH,
    assert_equal,
    tensor,
    with_gradient,
)

TABLE = np.random.default_rng(1).normal(size=[VOCAB.size, WIDTH.size]).astype(np.float32)


@pytest.mark.parametrize("mesh_shape", MESHES)
def test_a_lookup_equals_a_product_with_one_hot_rows(mesh_shape):
    def build(lookup):
        def graph(mesh):
            table = tensor(mesh, TABLE, VOCAB, WIDTH)
            ids = tensor(mesh, IDS.astype(np.int32), BATCH, LENGTH)
            return with_gradient(lookup(table, ids), table)

        return graph

    assert_equal(
        mesh_shape,
        build(lambda table, ids: embedding_lookup.Lookup(table, ids, VOCAB).outputs[0]),
        build(lambda table, ids: mtf.gather(table, ids, VOCAB)),
    )


@pytest.mark.parametrize("mesh_shape", MESHES)
def test_ids_outside_the_table_give_zeros(mesh_shape):
    """As the product with a one-hot row does: padding below 0, and ids beyond the end."""
    ids = np.tile(np.array([-1, 3, 16, 0, 15, 99], np.int32), (BATCH.size, 1))

    def graph(lookup):
        def build(mesh):
            table = tensor(mesh, TABLE, VOCAB, WIDTH)
            return with_gradient(lookup(table, tensor(mesh, ids, BATCH, LENGTH)), table)

        return build

    assert_equal(
        mesh_shape,
        graph(lambda table, ids: embedding_lookup.Lookup(table, ids, VOCAB).outputs[0]),
        graph(lambda table, ids: mtf.gather(table, ids, VOCAB)),
    )
