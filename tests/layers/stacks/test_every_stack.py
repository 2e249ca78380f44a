"""Every stack, with and without token shift: step by step, packed, on meshes, in ensembles."""

import dataclasses

import numpy as np
import pytest
from mesh_tensorflow.transformer import transformer

from primer.layers import (
    ParallelLayerStack,
    PostNormLayerStack,
    PreNormLayerStack,
    PrePostNormLayerStack,
    SandwichNormLayerStack,
)
from tests import slow
from tests.layers import helpers, stepwise, test_decoding, test_packing

STACKS = [
    (PreNormLayerStack, {"token_shift": True}),
    (PrePostNormLayerStack, {"post_norm_layers": "all"}),
    (PostNormLayerStack, {}),
    (SandwichNormLayerStack, {}),
    (ParallelLayerStack, {"token_shift": True}),
]
NAMES = [stack.__qualname__ for stack, _ in STACKS]
EACH_STACK = pytest.mark.parametrize("stack, settings", STACKS, ids=NAMES)
TARGETS = np.random.default_rng(0).integers(2, 97, [4, 8])
IDS = np.where(np.arange(8) < np.array([[3], [8], [1], [5]]), 1, 2)
MESHES = [
    ("rows:2", "length:rows"),
    ("rows:2,columns:2", "d_model:rows,heads:columns,d_ff:columns,vocab:columns"),
    ("rows:4", "batch:rows"),
]


def model_of(stack, settings, norm=transformer.sublayer_rms_norm, **more):
    architecture = dataclasses.replace(
        helpers.ARCHITECTURES["transformer_vanilla"], layer_stack=stack, norm=norm
    )
    model = helpers.build_model(architecture, stack=settings, **more)
    return model, helpers.random_variables(model)


@EACH_STACK
def test_steps_equal_teacher_forcing(stack, settings):
    test_decoding.check(*model_of(stack, settings), TARGETS[:3, :5], [0, 2, 3])


@EACH_STACK
def test_an_ensemble_decodes_step_by_step(stack, settings):
    norm, model = transformer.sublayer_true_layer_norm, {"ensemble": 2}
    made = model_of(stack, settings, norm, model=model, num_layers=1)
    test_decoding.check(*made, TARGETS[:2, :5], [2, 3])


@EACH_STACK
def test_packed_segments_do_not_influence_each_other(stack, settings):
    model, variables = model_of(stack, settings, num_layers=1)
    targets, ids, slices = test_packing.pack()
    packed = helpers.call(model, variables, targets, sequence_id=ids)["logits"]
    parts = helpers.call(model, variables, test_packing.alone(targets, slices))["logits"]
    for i, (row, part) in enumerate(slices):
        np.testing.assert_allclose(
            packed[row, part], parts[i, : part.stop - part.start], rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("mesh_shape, layout", MESHES)
@pytest.mark.parametrize(
    "stack, settings",
    slow.all_but(STACKS[-1:], STACKS, name=lambda value: value[0].__qualname__),
)
def test_meshes(stack, settings, mesh_shape, layout):
    where = {"mesh_shape": mesh_shape, "layout": layout}
    model, variables = model_of(stack, settings, num_layers=1)
    split, _ = model_of(stack, settings, num_layers=1, model=where)
    run = {"mode": "train", "sequence_id": IDS, "gradients": True}
    expected = helpers.call(model, variables, TARGETS, **run)
    values = helpers.call(split, variables, TARGETS, **run, **where)
    for key, value in expected.items():
        np.testing.assert_allclose(values[key], value, rtol=1e-4, atol=1e-4, err_msg=key)


@pytest.mark.slow
@EACH_STACK
def test_recomputed_gradients_are_equal(stack, settings):
    run = {"mode": "train", "sequence_id": IDS, "gradients": True}
    model, variables = model_of(stack, settings)
    again, _ = model_of(stack, {**settings, "recompute_grads": True})
    expected = helpers.call(model, variables, TARGETS, **run)
    values = helpers.call(again, variables, TARGETS, **run)
    for key, value in expected.items():
        np.testing.assert_allclose(values[key], value, rtol=1e-4, atol=1e-5, err_msg=key)


@EACH_STACK
def test_no_position_sees_its_future(stack, settings):
    model, variables = model_of(stack, settings, num_layers=1)
    changed = TARGETS.copy()
    changed[:, 5] = (changed[:, 5] + 1) % 90 + 2
    before, after = (
        helpers.call(model, variables, t, sequence_id=None)["logits"] for t in (TARGETS, changed)
    )
    np.testing.assert_array_equal(before[:, :6], after[:, :6])
    assert (before[:, 6:] != after[:, 6:]).any(-1).all()


def test_the_sampling_loop_keeps_the_state_of_the_token_shift():
    model, variables = model_of(PreNormLayerStack, {"token_shift": True})
    prompts = np.where(np.arange(6) < np.array([[1], [2], [3], [4]]), TARGETS[:, :6], 0)
    ids = stepwise.sample(model, variables, prompts, never_end=True)
    logits = helpers.call(model, variables, ids, sequence_id=None)["logits"]
    logits[:, :, 1] = -np.inf  # never_end forbids the end of sequence.
    generated = prompts == 0
    np.testing.assert_array_equal(ids[generated], logits.argmax(-1)[generated])
