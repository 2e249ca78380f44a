"""Trains the model that gin describes for a few steps and measures the outputs of its layers.

The graph is that of training. It runs on one device, on the same random tokens at every step, whose
seed and that of the initial values change together.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer_layers

from primer.common import build_mode, random_seed
from primer.common.class_names import class_name
from primer.cost import owners
from primer.planning import run_graph
from primer.runtime import session
from primer.runtime.patches import resource_variables

ROWS, LENGTH = 4, 64

# Of every run: float32 on one device, without dropout, microbatches or recomputation, so that the
# outputs of layers can be read; the rate is learning_rate from the first step on.
SETTINGS = (
    f"utils.run.batch_size = {ROWS}",
    f'utils.run.sequence_length = {{"inputs": 1, "targets": {LENGTH}}}',
    'utils.run.mesh_shape = ""',
    "utils.run.mesh_devices = None",
    "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = None",
    'precision.activation_dtype = "float32"',
    "LayerStack.recompute_grads = False",
    "schedule = @constant_schedule",
    "warmup_steps = 0",
    *(
        f"{part}dropout_rate = 0.0"
        for part in ("", "embedding_", "attention_", "feed_forward_", "residual_", "final_")
    ),
)


@dataclasses.dataclass
class Output:
    """An output whose size is measured.

    Attributes:
        name: of a layer, "block_000/layer_000"; or of a part of the model.
        part: "embedding", "attention", "feed-forward", "residual stream", "final norm", "logits".
        kind: the class of a layer, else "".
        size: the mean absolute value before each step and after the last, averaged over seeds.
        change: the mean absolute difference from before the first step, likewise.
    """

    name: str
    part: str
    kind: str
    size: list[float]
    change: list[float]


def measure(vocabulary_size: int, steps: int, seeds: int) -> list[Output]:
    """Returns the sizes of all outputs in the model's order.

    Args:
        vocabulary_size: the number of token ids.
        steps: the number of training steps.
        seeds: the number of runs that are averaged.

    Raises:
        UsageError: gin describes another model than a language model.
    """
    run_graph.require_language_model()
    vocabulary = run_graph.SizedVocabulary(vocabulary_size)
    arguments = run_graph.estimator_arguments(vocabulary, "train")
    with tf.Graph().as_default():
        resource_variables.use_resources()
        random_seed.set_step_key(tf.train.get_or_create_global_step())
        tokens = tf.placeholder(tf.int32, [ROWS, LENGTH])
        model_fn = arguments["model_fn"]
        with _recorded(model_fn.model) as outputs, lowering_kept() as lowerings:
            with build_mode.building("train"):
                features = features_of(tokens)
                spec = model_fn(features, None, "train", {"batch_size": ROWS}, None)
        (lowering,) = lowerings
        values = [lowering.export_to_tf_tensor(mtf.to_float(tensor)) for tensor, *_ in outputs]
        start = [tf.global_variables_initializer(), lowering.copy_masters_to_slices()]
        with tf.Session(config=session.default_config()) as sess:
            runs = [
                _run(sess, start, values, spec.train_op, steps, tokens, seed, vocabulary_size)
                for seed in range(seeds)
            ]
    sizes, changes = np.mean(runs, axis=0)  # [outputs, steps + 1]
    return [
        Output(name, part, kind, size.tolist(), change.tolist())
        for (_, name, part, kind), size, change in zip(outputs, sizes, changes, strict=True)
    ]


def _run(sess, start, values, train_op, steps, tokens, seed, vocabulary_size) -> np.ndarray:
    """Returns sizes and changes of one run, `[2, outputs, steps + 1]`.

    An initializer draws other values each time it runs.
    """
    for operation in start:
        sess.run(operation)
    random = np.random.default_rng(seed)
    feed = {tokens: random.integers(2, vocabulary_size, tokens.shape.as_list())}
    first = sess.run(values, feed)
    rows = [first]
    for _ in range(steps):
        sess.run(train_op, feed)
        rows.append(sess.run(values, feed))
    sizes = [[np.abs(value).mean() for value in row] for row in rows]
    changes = [[np.abs(v - f).mean() for v, f in zip(row, first)] for row in rows]
    return np.transpose([sizes, changes], [0, 2, 1])


def features_of(tokens: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the features of training for token ids `[rows, length]`, each row one text."""
    positions = tf.range(LENGTH, dtype=tf.int32)[None] * tf.ones_like(tokens)
    return {
        "targets": tokens,
        "targets_segmentation": tf.ones_like(tokens),
        "targets_position": positions,
    }


@contextlib.contextmanager
def _recorded(model: Any) -> Iterator[list[tuple[mtf.Tensor, str, str, str]]]:
    """Yields the list that gets (tensor, name, part, class) of the outputs of a called model."""
    found: list[tuple[mtf.Tensor, str, str, str]] = []
    layers = owners.layers_by_name(model)

    def of_layer(name, layer):
        def add(output, *unused):
            found.append((output, name, _part(layer), class_name(layer)))

        return add

    def of_stack(output, context, *unused):
        embedding, *after, final = context.layer_outputs
        found.insert(0, (embedding, "embedding", "embedding", ""))
        # After each layer but the last, whose sum only the final norm sees.
        for name, tensor in zip(layers, after):
            found.append((tensor, name, "residual stream", ""))
        found.append((final, "final norm", "final norm", ""))

    def of_model(logits, *unused):
        found.append((logits, "logits", "logits", ""))

    with contextlib.ExitStack() as stack:
        for name, layer in layers.items():
            stack.enter_context(_observed(layer, "call", of_layer(name, layer)))
        stack.enter_context(_observed(model.layer_stack, "call", of_stack))
        stack.enter_context(_observed(model, "_call_internal", of_model))
        yield found


def _part(layer: Any) -> str:
    return "attention" if isinstance(layer, transformer_layers.SelfAttention) else "feed-forward"


@contextlib.contextmanager
def _observed(owner: Any, method: str, observe: Any) -> Iterator[None]:
    """Calls `observe(result, *arguments)` after each call of an object's method."""
    stock = getattr(owner, method)

    def call(*args, **kwargs):
        result = stock(*args, **kwargs)
        observe(result, *args)
        return result

    with run_graph.replaced(owner, method, call):
        yield


@contextlib.contextmanager
def lowering_kept() -> Iterator[list[mtf.Lowering]]:
    """Yields the list that gets the lowering of the graph that is built inside the block."""
    made: list[mtf.Lowering] = []

    class Lowering(mtf.Lowering):
        """Mesh-TF's, which this list keeps."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    with run_graph.replaced(mtf, "Lowering", Lowering):
        yield made
