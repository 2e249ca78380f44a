"""Decoding, causality, packing and meshes of every architecture, with and without experts.

The list of compositions is read from the gin files, so that a new file needs no change here.
"""

import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.generation.step_graph import StepGraph
from tests import gin_models
from tests.layers import helpers
from tests.layers.test_packing import alone, pack

COMPOSITIONS = gin_models.compositions()
# The default run has each architecture without experts, and one with them.
ALL = pytest.mark.parametrize(
    "composition",
    gin_models.as_params(COMPOSITIONS, lambda c: c[1] is None or c == COMPOSITIONS[-1]),
)
# The default run has each kind of layer on a mesh once.
QUICK = [("primer", None), ("evolved_transformer", None), COMPOSITIONS[-1]]
MESHES = pytest.mark.parametrize(
    "composition", gin_models.as_params(COMPOSITIONS, QUICK.__contains__)
)
TARGETS = np.random.default_rng(0).integers(2, 97, [4, 8])
# No prompts, equal ones, different ones.
PROMPTS = ([0, 0, 0, 0], [5, 5, 5, 5], [0, 2, 5, 1])
MESH = dict(mesh_shape="columns:2", layout="heads:columns,d_ff:columns,vocab:columns")
LARGER_MESH = dict(
    mesh_shape="rows:2,columns:2",
    layout="batch:rows,experts:rows,heads:columns,d_ff:columns,expert_hidden:columns,vocab:columns",
)
# One block, with one layer of experts.
SMALL = (
    "num_layers = 1",
    "num_evolved_blocks = 1",
)
# Deterministic and without dropping. The balance loss depends on the groups, hence on the mesh.
EXPERTS = (
    "block = [%attention, %experts]",
    'MixtureOfExperts.switch_policy_train = "argmax"',
    "MixtureOfExperts.loss_coef = 0.0",
    "capacity_factor_train = 8.0",
)


def build(composition, **where):
    architecture, overlay = composition
    files = gin_models.files(architecture, overlay=overlay)
    return gin_models.build(files, SMALL + (EXPERTS if overlay else ()), **where)


@functools.cache
def variables_of(composition):
    return helpers.random_variables(build(composition))


@functools.cache
def teacher_forced(composition):
    """Returns the logits of all positions at once, on one device."""
    return helpers.call(
        build(composition), variables_of(composition), TARGETS, sequence_id=None, exact=True
    )["logits"]


def save(variables, path):
    """Writes variables as a checkpoint."""
    with tf.Graph().as_default(), tf.Session() as session:
        own = [tf.Variable(value, name=name) for name, value in variables.items()]
        session.run(tf.global_variables_initializer())
        return tf.train.Saver(own).save(session, str(path))


def check_steps(composition, tmp_path, **where):
    """Compares the logits of decoding step by step with those of all positions at once."""
    graph = StepGraph(build(composition, **where), *TARGETS.shape, **rename(where))
    graph.restore(save(variables_of(composition), tmp_path / "model.ckpt-1"))
    rows = np.arange(len(TARGETS))
    for starts in PROMPTS:
        graph.read_prompts([row[:start] for row, start in zip(TARGETS, starts)])
        for step in range(TARGETS.shape[1] - max(starts)):
            positions = np.array(starts) + step
            tokens = np.where(positions > 0, TARGETS[rows, positions - 1], 0)
            logits = graph.next_logits(tokens, positions)
            expected = teacher_forced(composition)[rows, positions]
            np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    graph.close()


def rename(where):
    return {"layout_rules" if key == "layout" else key: value for key, value in where.items()}


@ALL
def test_steps_equal_teacher_forcing(composition, tmp_path):
    """Without prompts, with prompts of one length, and of different lengths."""
    check_steps(composition, tmp_path)


@MESHES
def test_steps_on_a_mesh_equal_teacher_forcing(composition, tmp_path):
    check_steps(composition, tmp_path, **MESH)


@ALL
def test_no_position_depends_on_later_ones(composition):
    changed = TARGETS.copy()
    changed[:, 4] = 2 + (changed[:, 4] + 1) % 90
    before, model = teacher_forced(composition), build(composition)
    after = helpers.call(model, variables_of(composition), changed, sequence_id=None, exact=True)[
        "logits"
    ]
    np.testing.assert_allclose(before[:, :5], after[:, :5], rtol=0, atol=1e-6)
    assert np.abs(before[:, 5:] - after[:, 5:]).max(axis=(0, 2)).min() > 1e-4


@ALL
def test_packed_examples_equal_their_segments(composition):
    model, variables = build(composition), variables_of(composition)
    targets, ids, slices = pack()
    packed = helpers.call(model, variables, targets, sequence_id=ids, exact=True)["logits"]
    parts = helpers.call(model, variables, alone(targets, slices), exact=True)["logits"]
    for i, (row, part) in enumerate(slices):
        expected = parts[i, : part.stop - part.start]
        np.testing.assert_allclose(packed[row, part], expected, rtol=0, atol=1e-4)


@MESHES
def test_mesh_equals_one_device(composition):
    """Rows, experts, heads and hidden layers over two processors each; outputs and gradients."""
    ids = np.where(np.arange(8) < np.array([[3], [8], [1], [5]]), 1, 2)
    variables = variables_of(composition)
    settings = dict(mode="train", sequence_id=ids, gradients=True)
    expected = helpers.call(build(composition), variables, TARGETS, **settings)
    model = build(composition, **LARGER_MESH)
    values = helpers.call(model, variables, TARGETS, **settings, **LARGER_MESH)
    np.testing.assert_allclose(values["logits"], expected["logits"], rtol=0, atol=1e-4)
    for key, value in expected.items():
        if key != "logits":
            np.testing.assert_allclose(values[key], value, rtol=1e-3, atol=1e-5, err_msg=key)
