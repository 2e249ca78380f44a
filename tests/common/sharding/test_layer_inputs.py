"""Weights that are stored under other names are the same weights, for all that reads names."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.common import build_mode
from primer.common.sharding import stored_weights
from primer.cost import parameters, products
from primer.optimizers.matrices import weight_matrices
from primer.parametrization import roles
from tests import gin_models
from tests.layers import composition_checks, helpers

COMPOSITIONS = [("primer_full", "switch"), ("gpt2", None)]


def graph_of(composition, **where):
    architecture, overlay = composition
    bindings = [*gin_models.fewest_block_bindings(architecture), "tied_embeddings = False"]
    files = gin_models.files(architecture, overlay=overlay)
    model = gin_models.build(files, bindings, vocabulary_size=90, **where)
    with helpers.bench() as b:
        ids = b.put(np.ones([4, 8], np.int32), "batch", "length")
        model.call_simple(inputs=ids, targets=ids, compute_loss=False, mode="train")
        return model, b.graph


def described(model, graph):
    """Returns what optimizers and counts read of each weight."""
    found = {}
    for variable in graph.trainable_variables:
        role = roles.role(variable.shape)
        sizes = weight_matrices.fused(variable.shape).sizes if role == "matrix" else None
        share = parameters.used_share(model, variable)
        found[variable.name] = (role, variable.shape.to_integer_list, sizes, share)
    return found


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=gin_models.name_of)
def test_roles_and_costs_are_those_of_one_device(composition):
    one, two = graph_of(composition), graph_of(composition, **gin_models.two_dimensional())
    assert described(*one) == described(*two)
    assert parameters.count(*one) == parameters.count(*two)
    counts = [sum(number for _, number in products.products(graph)) for _, graph in (one, two)]
    assert counts[0] == counts[1]
    names = {name for v in two[1].trainable_variables for name in v.shape.dimension_names}
    assert {stored_weights.STORED, "vocab"} <= names


def test_a_variable_is_found_behind_its_gathered_weight():
    _, graph = graph_of(COMPOSITIONS[1], **gin_models.two_dimensional())
    gathered = [op for op in graph.operations if "gather_weight" in op.name]
    weights = {stored_weights.variable_of(op.outputs[0]) for op in gathered}
    assert weights and weights <= set(graph.trainable_variables)
    assert all(isinstance(weight, mtf.Variable) for weight in weights)


def test_a_float32_table_is_gathered_on_a_tpu_and_not_exchanged():
    """SimdMeshImpl rounds what it exchanges to bfloat16."""
    case = composition_checks.Case(tuple(gin_models.files("transformer")), ("num_layers = 1",))
    where = gin_models.two_dimensional()
    counts = {}
    for for_tpu in (False, True):
        with build_mode.building("eval", for_tpu), helpers.bench(**where) as b:
            ids = b.put(np.ones([4, 8], np.int32), "batch", "length")
            case.build(**where).call_simple(ids, ids, compute_loss=False, mode="eval")
            counts[for_tpu] = b.lower().counters
    exchanged = {key: any("alltoall" in name for name, _ in found) for key, found in counts.items()}
    assert exchanged == {False: True, True: False}
