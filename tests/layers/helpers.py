"""Builds tiny models and runs them: outputs, losses and gradients.

Every function makes a graph of its own, loads the variables by name and returns numpy arrays.
`variables` is a dict of checkpoint name -> array, as `golden` reads it.
"""

import contextlib
import dataclasses
import functools
import types
import zlib

import numpy as np

from primer.runtime import import_hook

import_hook.install()

import mesh_tensorflow as mtf  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402
from mesh_tensorflow.transformer import transformer, transformer_layers  # noqa: E402

from primer import layers  # noqa: E402
from primer.common import graph_marks  # noqa: E402
from primer.runtime.patches import initial_values  # noqa: E402
from tests.layers import routing_margin  # noqa: E402
from tests.paths import PARITY  # noqa: E402

TINY = dict(d_model=32, num_layers=2, d_ff=64, num_heads=4, d_kv=8, vocab_size=97)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The parts of a model, apart from its size."""

    attention: type = transformer_layers.SelfAttention
    attention_settings: tuple = ()
    activation: str = "relu"
    norm: object = transformer.sublayer_true_layer_norm
    layer_stack: type = transformer.LayerStack


ARCHITECTURES = {
    "transformer_vanilla": Architecture(),
    "primer_ez": Architecture(attention=layers.MDHA, activation="squared_relu"),
    "primer_as_released": Architecture(
        attention=layers.MDHA,
        attention_settings=(("share_qk_rep", True),),
        activation="squared_relu",
        norm=layers.sublayer_primer_norm,
    ),
    "primer": Architecture(
        attention=layers.MDHA,
        attention_settings=(("share_qk_rep", True),),
        activation="squared_relu",
        norm=layers.sublayer_primer_norm,
        layer_stack=layers.PrePostNormLayerStack,
    ),
}


def build_model(architecture, attention=None, model=None, stack=None, **size):
    """Makes a tiny autoregressive Unitransformer.

    Args:
        architecture: a key of ARCHITECTURES, or an Architecture.
        attention: a dict of settings for the attention layers.
        model: a dict of settings for Unitransformer, such as ensemble, layout and mesh_shape.
        stack: a dict of settings for the layer stack.
        **size: entries of TINY to change.
    """
    parts = ARCHITECTURES.get(architecture, architecture)
    size = {**TINY, **size}
    attention_settings = {
        "num_heads": size["num_heads"],
        "key_value_size": size["d_kv"],
        "relative_attention_type": "bias_shared",
        **dict(parts.attention_settings),
        **(attention or {}),
    }
    feed_forward = {"hidden_size": size["d_ff"], "activation": parts.activation, "use_bias": True}
    layer_stack = transformer.make_layer_stack(
        layers=[
            (parts.attention, attention_settings),
            (transformer_layers.DenseReluDense, feed_forward),
        ],
        layer_stack_cls=functools.partial(
            parts.layer_stack, **sublayers(parts.norm), **(stack or {})
        ),
        num_layers=size["num_layers"],
    )
    settings = {
        "d_model": size["d_model"],
        "input_vocab_size": size["vocab_size"],
        "output_vocab_size": size["vocab_size"],
        "autoregressive": True,
        "max_length": 512,
        "shared_embedding_and_softmax_weights": True,
        "positional_embedding": False,
        **(model or {}),
    }
    return transformer.Unitransformer(layer_stack, **settings)


def sublayers(norm):
    """Returns the sublayers of the original's defaults, with this norm."""
    return {
        "sublayers_initial": [transformer.sublayer_dropout],
        "sublayers_per_layer": [
            norm,
            transformer.sublayer_mask_padding,
            transformer.sublayer_call_layer,
            transformer.sublayer_dropout,
            transformer.sublayer_residual,
        ],
        "sublayers_final": [norm, transformer.sublayer_dropout],
    }


def golden(name):
    """Returns the arrays of a golden file, and its variables by name."""
    with np.load(PARITY / f"{name}.npz") as arrays:
        arrays = dict(arrays)
    return arrays, by_prefix(arrays, "var/")


def golden_model(name, num_layers=1, **settings):
    """Returns a model of `num_layers` blocks, and its variables from the golden file."""
    _, variables = golden(name)
    kept = {k: v for k, v in variables.items() if num_layers == 2 or "/block_001/" not in k}
    return build_model(name, num_layers=num_layers, **settings), kept


def by_prefix(arrays, prefix):
    return {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}


class Bench:
    """A mesh graph of its own; `run` lowers it onto a mesh of CPU devices and evaluates."""

    def __init__(self, mesh_shape="", layout="", variables=None):
        self.mesh_shape = mtf.convert_to_shape(mesh_shape)
        self.layout = layout
        self.variables = variables
        self.margins = []
        self.graph = mtf.Graph()
        self.mesh = mtf.Mesh(self.graph, "mesh")

    def put(self, array, *names):
        """Imports an array as a Tensor with dimensions of these names."""
        array = np.asarray(array)
        shape = mtf.Shape([mtf.Dimension(n, s) for n, s in zip(names, array.shape)])
        return mtf.import_tf_tensor(self.mesh, tf.constant(array), shape)

    def lower(self):
        # An empty device name leaves the placement to TensorFlow.
        impl = mtf.placement_mesh_impl.PlacementMeshImpl(
            self.mesh_shape, self.layout, [""] * self.mesh_shape.size
        )
        return mtf.Lowering(self.graph, {self.mesh: impl})

    def run(self, tensors):
        """Returns the values of a dict of Tensors; with experts, checks the routing's margins."""
        # No layout splits anonymous dimensions, so that the outputs are whole.
        kept = {name: mtf.anonymize(t) for name, t in tensors.items()}
        lowering = self.lower()
        exported = {name: lowering.export_to_tf_tensor(t) for name, t in kept.items()}
        margins = [lowering.export_to_tf_tensor(margin) for margin in self.margins]
        with tf.Session() as session:
            initialize(session, self.variables)
            session.run(lowering.copy_masters_to_slices())
            values, margins = session.run((exported, margins))
        routing_margin.check(margins)
        return values


def initialize(session, variables):
    """Assigns every variable of the graph; names and shapes must match."""
    own = {v.op.name: v for v in tf.global_variables()}
    if variables is None:
        session.run(tf.global_variables_initializer())
        return
    assert set(own) == set(variables), set(own) ^ set(variables)
    # One run for all variables: TensorFlow optimizes the graph once per set of fetches.
    assignments = [v.initializer for v in own.values()]
    feed = {v.initializer.inputs[1]: variables[name] for name, v in own.items()}
    session.run(assignments, feed)


@contextlib.contextmanager
def bench(mesh_shape="", layout="", variables=None):
    """A Bench in a TensorFlow graph of its own."""
    drawn = contextlib.nullcontext() if variables is None else initial_values.weights_restored()
    with tf.Graph().as_default(), drawn, routing_margin.recorded() as margins:
        made = Bench(mesh_shape, layout, variables)
        made.margins = margins
        yield made


def call(
    model,
    variables,
    targets,
    mode="eval",
    sequence_id="nonpadding",
    gradients=False,
    dtype=tf.float32,
    mesh_shape="",
    layout="",
    exact=False,
):
    """Runs all positions at once.

    Args:
        model: a Unitransformer.
        variables: a dict, or None for the model's initial values.
        targets: token ids `[batch, length]`.
        mode: "eval" or "train".
        sequence_id: ids `[batch, length]` of the segments of packed examples, "nonpadding" for the
            golden files' (targets != 0), or None for none at all.
        gradients: whether to return `gradnorm/<variable>` too.
        dtype: the type of the activations.
        mesh_shape: such as "rows:2,columns:2".
        layout: such as "batch:rows,heads:columns".
        exact: whether experts route without dropping tokens.

    Returns:
        a dict of float32 arrays: logits `[batch, length, vocab]`, loss, gradient norms.
    """
    targets = np.asarray(targets, np.int32)
    if isinstance(sequence_id, str):
        sequence_id = (targets != 0).astype(np.int32)
    with bench(mesh_shape, layout, variables) as b:
        if exact:
            graph_marks.forbid_token_dropping()
        ids = b.put(targets, "batch", "length")
        segments = position = None
        if sequence_id is not None:
            segments = b.put(np.asarray(sequence_id, np.int32), "batch", "length")
            position = b.put(positions_in_segments(sequence_id), "batch", "length")
        logits, loss = model.call_simple(
            inputs=transformer.autoregressive_inputs(ids, segments),
            targets=ids,
            compute_loss=True,
            mode=mode,
            variable_dtype=mtf.VariableDType(tf.float32, tf.float32, dtype),
            sequence_id=segments,
            position=position,
        )
        outputs = {"logits": logits, "loss": loss}
        if gradients:
            trainable = b.graph.trainable_variables
            for v, g in zip(trainable, mtf.gradients([loss], [v.value for v in trainable])):
                square = mtf.square(mtf.cast(g, tf.float32))
                outputs["gradnorm/" + v.name] = mtf.sqrt(mtf.reduce_sum(square))
        return b.run({name: mtf.cast(t, tf.float32) for name, t in outputs.items()})


def positions_in_segments(sequence_id):
    """Returns positions `[batch, length]` that restart with each segment, as in packed data."""
    ids = np.asarray(sequence_id)
    index = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    first = np.diff(ids, axis=1, prepend=-1) != 0
    return (index - np.maximum.accumulate(np.where(first, index, 0), axis=1)).astype(np.int32)


def layer_context(b, x, mode="eval"):
    """Returns a context for a layer or sublayer without a model; x is `[..., d_model]`."""
    *batch_dims, model_dim = x.shape.dims
    model = types.SimpleNamespace(
        model_dim=model_dim,
        ensemble_dim=None,
        ensemble_dims=[],
        fully_autoregressive=True,
        layout=None,
        mesh_shape=None,
    )
    return transformer.Context(
        model=model,
        mesh=b.mesh,
        batch_dims=batch_dims[:-1],
        length_dim=batch_dims[-1],
        variable_dtype=mtf.VariableDType(tf.float32, tf.float32, x.dtype),
        mode=mode,
    )


def random_variables(model):
    """Returns values for the variables of a model, equal for equal names and shapes.

    Vectors (scales, taps, biases) are their constant initial values plus 0.1 x a standard normal
    draw, so that tests notice exchanged ones.
    """
    targets = np.ones([1, 4], np.int32)
    with bench() as b, initial_values.weights_restored():
        ids = b.put(targets, "batch", "length")
        model.call_simple(inputs=ids, targets=ids, compute_loss=False, mode="eval")
        with tf.Session() as session:
            initialize(session, None)
            values = session.run({v.op.name: v for v in tf.global_variables()})
    for name, value in values.items():
        draw = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(value.shape)
        values[name] = value + 0.1 * draw if value.ndim < 2 else draw * value.shape[-2] ** -0.5
    return {name: value.astype(np.float32) for name, value in values.items()}
