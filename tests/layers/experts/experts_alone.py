"""Runs a layer of experts without a model, ours or Mesh-TF's: outputs and gradients."""

import types
import zlib

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import graph_marks
from primer.layers import MixtureOfExperts, MixtureOfExperts2D
from tests.layers import helpers

X = np.random.default_rng(0).standard_normal([4, 12, 8]).astype(np.float32)
# Packed: two segments per row, and padding in two rows.
IDS = np.where(np.arange(12) < np.array([[5], [12], [3], [7]]), 1, 2)
IDS[0, 9:] = IDS[2, 6:] = 0
# Deterministic settings, with so few slots that tokens are dropped.
TIGHT = dict(
    hidden_size=6,
    group_size=8,
    min_expert_capacity=1,
    second_policy_train="all",
    second_policy_eval="all",
)
ARGMAX = dict(switch_policy_train="argmax", switch_policy_eval="argmax")
THRESHOLD = dict(
    second_policy_train="threshold",
    second_policy_eval="threshold",
    second_threshold_train=0.4,
    second_threshold_eval=0.2,
)
# The gatings in which tokens choose.
TOKEN_CHOICE = ["switch", "switch_max", "ntlb", "top_2", "top_n"]


def tight(gating, **settings):
    """Returns a layer of ours with biases that drops tokens; gating may be "two levels"."""
    settings = {**TIGHT, "use_bias": True, "capacity_factor_eval": 1.0, **settings}
    if gating == "two levels":
        return MixtureOfExperts2D(expert_x=3, expert_y=4, **settings)
    return MixtureOfExperts(gating=gating, num_experts=4, **{**ARGMAX, **settings})


def roomy(gating):
    """Returns settings whose capacity is so large that evaluation drops nothing."""
    second_level = {"capacity_factor_second_level": 4.0} if gating == "two levels" else {}
    return {"capacity_factor_eval": 4.0, **second_level}


def run(
    layer,
    x=X,
    sequence_id=None,
    ids=None,
    mode="eval",
    exact=False,
    gradients=False,
    num_microbatches=1,
    dtype=tf.float32,
    mesh_shape="",
    layout="",
    values=None,
):
    """Applies the layer.

    Args:
        layer: a layer of experts.
        x: `[batch, length, d_model]`, `[outer_batch, batch, length, d_model]`, or without length.
        sequence_id: int32 `[batch, length]`, 0 for padding, or None.
        ids: what the context has as inputs, int32 `[batch, length]`, or None.
        mode: of the context.
        exact: whether the graph is marked by primer.common.graph_marks.
        gradients: of sum(y * cos(0, 1, 2, ...)) + loss, by x and by each variable.
        num_microbatches, dtype: of the context.
        mesh_shape, layout: such as "rows:2" and "batch:rows,experts:rows".
        values: a function of a variable's name and shape; `draw`.

    Returns:
        a dict of float32 arrays: y, loss if there is one, grad/<variable>, grad/x.
    """
    names = {
        2: ["batch", "d_model"],
        3: ["batch", "length", "d_model"],
        4: ["outer_batch", "batch", "length", "d_model"],
    }[x.ndim]
    with helpers.bench(mesh_shape, layout) as b:
        if exact:
            graph_marks.forbid_token_dropping()
        x_in = b.put(x, *names)
        context = _context(b, mtf.cast(x_in, dtype), mode, num_microbatches)
        context.model.layout, context.model.mesh_shape = layout, mesh_shape
        if sequence_id is not None:
            context.sequence_id = b.put(np.asarray(sequence_id, np.int32), "batch", "length")
        if ids is not None:
            context.inputs = b.put(np.asarray(ids, np.int32), "batch", "length")
        outputs = {"y": mtf.cast(layer.call(context, mtf.cast(x_in, dtype)), tf.float32)}
        if context.losses:
            outputs["loss"] = mtf.cast(mtf.add_n(context.losses), tf.float32)
        if gradients:
            outputs.update(_gradients(b, x_in, outputs))
        values = values or draw
        b.variables = {
            v.op.name: values(v.op.name, v.shape.as_list()) for v in tf.global_variables()
        }
        return b.run(outputs)


def draw(name, shape):
    """Returns values that depend on name and shape only; routers prefer some experts."""
    values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    scale = 0.7 if "gating" in name else 0.3 if "bias" in name else shape[-2] ** -0.5
    return (values * scale).astype(np.float32)


def draw_alike(name, shape):
    """Returns equal values for all experts, and for a dense layer of their shape."""
    own = shape if "gating" in name else shape[-1:] if "bias" in name else shape[-2:]
    return np.broadcast_to(draw(name, own), shape)


def _context(b, x, mode, num_microbatches):
    dims = {d.name: d for d in x.shape.dims}
    return transformer.Context(
        model=types.SimpleNamespace(
            model_dim=x.shape.dims[-1], ensemble_dim=None, ensemble_dims=[]
        ),
        mesh=b.mesh,
        batch_dims=[dims[name] for name in ("outer_batch", "batch") if name in dims],
        length_dim=dims.get("length", mtf.Dimension("length", 12)),
        variable_dtype=mtf.VariableDType(tf.float32, tf.float32, x.dtype),
        mode=mode,
        losses=[],
        num_microbatches=num_microbatches,
    )


def _gradients(b, x, outputs):
    weights = mtf.cos(mtf.range(b.mesh, mtf.Dimension("all", x.shape.size), tf.float32))
    total = mtf.reduce_sum(outputs["y"] * mtf.reshape(weights, x.shape))
    if "loss" in outputs:
        total += outputs["loss"]
    variables = b.graph.trainable_variables
    grads = mtf.gradients([total], [x] + [v.value for v in variables])
    return {f"grad/{n}": g for n, g in zip(["x"] + [v.name for v in variables], grads)}


def check_same(values, expected, real=None, atol=1e-5):
    """Checks that the entries are equal; y only where `real` `[batch, length]` is nonzero."""
    assert set(values) == set(expected)
    for key, value in expected.items():
        kept = ... if key != "y" or real is None else np.asarray(real) != 0
        np.testing.assert_allclose(values[key][kept], value[kept], rtol=0, atol=atol, err_msg=key)


def check_parity(ours, theirs, **settings):
    """Checks that outputs, losses and gradients equal those of Mesh-TF's layer."""
    settings = dict(sequence_id=IDS, gradients=True, **settings)
    expected = run(theirs, **settings)
    if ours.gating.gating != "ntlb":
        # The settings drop some tokens, besides padding.
        assert (np.abs(expected["y"]).sum(-1) == 0).sum() > (IDS == 0).sum()
    check_same(run(ours, **settings), expected, IDS)
