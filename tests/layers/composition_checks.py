"""Checks of a whole tiny model: decoding, causality, packed examples, meshes, one step of training.

A `Case` is a model described by gin files and bindings; every check builds it anew.
"""

import dataclasses
import functools

import numpy as np
import tensorflow.compat.v1 as tf

from primer.generation.step_graph import StepGraph
from tests import gin_models
from tests.layers import helpers
from tests.layers.test_packing import alone, pack

TARGETS = np.random.default_rng(0).integers(2, 97, [4, 8])
# No prompts, equal ones, different ones.
PROMPTS = ([0, 0, 0, 0], [5, 5, 5, 5], [0, 2, 5, 1])
MESH = dict(mesh_shape="columns:2", layout="heads:columns,d_ff:columns,vocab:columns")
# Weights and activations split over both axes.
LARGER_MESH = gin_models.two_dimensional(2, 2)
OTHER_MESHES = {f"{r}x{c}": gin_models.two_dimensional(r, c) for r, c in [(2, 1), (1, 2), (4, 1)]}


@dataclasses.dataclass(frozen=True)
class Case:
    """A model.

    Attributes:
        files: its gin files.
        bindings: gin bindings after the files.
    """

    files: tuple[str, ...]
    bindings: tuple[str, ...] = ()

    def build(self, **where):
        """Builds the Unitransformer; `where` has a layout and a mesh_shape."""
        return gin_models.build(self.files, self.bindings, **where)


@functools.cache
def variables_of(case):
    """Returns random values of the variables."""
    return helpers.random_variables(case.build())


@functools.cache
def teacher_forced(case):
    """Returns the logits of all positions at once, on one device."""
    return helpers.call(case.build(), variables_of(case), TARGETS, sequence_id=None, exact=True)[
        "logits"
    ]


def check_steps(case, tmp_path, prompts=PROMPTS, **where):
    """Compares the logits of decoding step by step with those of all positions at once."""
    graph = StepGraph(case.build(**where), *TARGETS.shape, **_rename(where))
    graph.restore(save(variables_of(case), tmp_path / "model.ckpt-1"))
    rows = np.arange(len(TARGETS))
    for starts in prompts:
        graph.read_prompts([row[:start] for row, start in zip(TARGETS, starts)])
        for step in range(TARGETS.shape[1] - max(starts)):
            positions = np.array(starts) + step
            tokens = np.where(positions > 0, TARGETS[rows, positions - 1], 0)
            logits = graph.next_logits(tokens, positions)
            expected = teacher_forced(case)[rows, positions]
            np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    graph.close()


def check_causality(case):
    """Changes one token: later logits change, earlier ones do not."""
    changed = TARGETS.copy()
    changed[:, 4] = 2 + (changed[:, 4] + 1) % 90
    before = teacher_forced(case)
    after = helpers.call(case.build(), variables_of(case), changed, sequence_id=None, exact=True)[
        "logits"
    ]
    np.testing.assert_allclose(before[:, :5], after[:, :5], rtol=0, atol=1e-6)
    assert np.abs(before[:, 5:] - after[:, 5:]).max(axis=(0, 2)).min() > 1e-4


def check_packing(case):
    """Compares the logits of packed rows with those of their segments."""
    model, variables = case.build(), variables_of(case)
    targets, ids, slices = pack()
    packed = helpers.call(model, variables, targets, sequence_id=ids, exact=True)["logits"]
    parts = helpers.call(model, variables, alone(targets, slices), exact=True)["logits"]
    for i, (row, part) in enumerate(slices):
        expected = parts[i, : part.stop - part.start]
        np.testing.assert_allclose(packed[row, part], expected, rtol=0, atol=1e-4)


@functools.cache
def trained(case, mesh_shape="", layout=""):
    """Returns outputs and gradients of packed rows on a mesh."""
    ids = np.where(np.arange(8) < np.array([[3], [8], [1], [5]]), 1, 2)
    mesh = dict(mesh_shape=mesh_shape, layout=layout)
    settings = dict(mode="train", sequence_id=ids, gradients=True)
    return helpers.call(case.build(**mesh), variables_of(case), TARGETS, **settings, **mesh)


def check_mesh(case, mesh=LARGER_MESH):
    """Compares outputs and gradients of a mesh with those of one device."""
    expected, values = trained(case), trained.__wrapped__(case, **mesh)
    np.testing.assert_allclose(values["logits"], expected["logits"], rtol=0, atol=1e-4)
    for key, value in expected.items():
        if key != "logits":
            np.testing.assert_allclose(values[key], value, rtol=1e-4, atol=1e-5, err_msg=key)


def save(variables, path):
    """Writes variables as a checkpoint."""
    with tf.Graph().as_default(), tf.Session() as session:
        own = [tf.Variable(value, name=name) for name, value in variables.items()]
        session.run(tf.global_variables_initializer())
        return tf.train.Saver(own).save(session, str(path))


def _rename(where):
    return {"layout_rules" if key == "layout" else key: value for key, value in where.items()}
