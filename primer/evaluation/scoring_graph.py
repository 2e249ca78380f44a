"""The Mesh-TensorFlow part of the scoring graph: a loss and a first-choice mark per token."""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.evaluation.memory import row_state
from primer.gin_config.values import configured
from primer.runtime import precision
from primer.runtime.ops import cross_entropy

FEEDS = ("targets", "targets_segmentation", "targets_position")
# What the model reads at each position, where it is not the target before it in the row: of a
# masked model, and of a row that continues a text.
INPUTS = "inputs"
BEGINS = "begins"  # 1 for each row whose memory is emptied first.


def outer_batch_size() -> int:
    """Returns the size of Mesh-TF's `outer_batch` dimension, of which the rows are a multiple."""
    return configured("tpu_estimator_model_fn.outer_batch_size", 1) or 1


def losses_and_best(
    model: transformer.Unitransformer,
    feeds: dict[str, tf.Tensor],
    as_released: bool,
    recomputed: int = 0,
    activation_dtype: str = "float32",
) -> tuple[mtf.Tensor, mtf.Tensor, list[mtf.Operation]]:
    """Builds the model on the fed tokens.

    Args:
        model: a Mesh-TF Unitransformer that reads left to right, or with INPUTS among the feeds
            one that sees both sides.
        feeds: name of FEEDS, and of INPUTS -> placeholder [rows, length] int32; and where rows
            continue those of the batch before, BEGINS -> placeholder [rows] int32.
        as_released: whether segments and positions are ignored: a row is one text.
        recomputed: as for `row_state.continued`.
        activation_dtype: the type of the model's activations, "float32" or "bfloat16".

    Returns:
        (losses float32, are_best int32, updates). The first two are [outer_batch, batch, length]:
        -log p of each token, and 1 where it is the likeliest token. The operations keep the memory
        for the next batch.
    """
    scoring = mtf.Mesh(mtf.Graph(), "scoring")
    rows, length = feeds["targets"].shape.as_list()
    outer = outer_batch_size()
    sizes = {"outer_batch": outer, "batch": rows // outer, "length": length}
    shape = mtf.Shape([mtf.Dimension(name, size) for name, size in sizes.items()])

    def imported_as(name, feed):
        own = mtf.Shape(shape.dims[: 1 + len(feed.shape)])
        feed = tf.reshape(feed, own.to_integer_list)
        return mtf.import_fully_replicated(scoring, feed, own, name=name)

    imported = {name: imported_as(name, feed) for name, feed in feeds.items()}
    targets, segments, positions = (imported[name] for name in FEEDS)
    if as_released:
        segments = positions = None
    dtype = precision.of_activations("Scorer.activation_dtype", activation_dtype)
    inputs = imported.get(INPUTS)
    if inputs is None:
        inputs = transformer.autoregressive_inputs(targets, sequence_id=segments)
    with row_state.continued(model, imported.get(BEGINS), recomputed) as updates:
        logits, _ = model.call_simple(
            inputs=inputs,
            targets=targets,
            compute_loss=False,
            mode=tf.estimator.ModeKeys.EVAL,
            variable_dtype=dtype,
            sequence_id=segments,
            position=positions,
        )
    logits = mtf.cast(logits, tf.float32)
    losses = cross_entropy.cross_entropy(logits, targets, model.output_vocab_dim)
    are_best = mtf.cast(mtf.equal(_likeliest(logits, model), targets), tf.int32)
    return mtf.anonymize(losses), mtf.anonymize(are_best), updates


def _likeliest(logits, model):
    """The likeliest token of the vocabulary without padding (id 0 and ids beyond its size)."""
    vocab = model.output_vocab_dim
    ids = mtf.range(logits.mesh, vocab, tf.int32)
    outside = mtf.logical_or(
        mtf.equal(ids, 0), mtf.greater_equal(ids, model.output_vocab_size_unpadded)
    )
    return mtf.argmax(logits - 1e9 * mtf.cast(outside, tf.float32), vocab)
