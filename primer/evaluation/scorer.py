"""The loss of every token under gin's model: one graph, one session, many checkpoints."""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer, utils

from primer.checkpoints import checkpoint_files
from primer.common import build_mode, gc_pause, graph_marks
from primer.errors import UsageError
from primer.gin_config.values import configured
from primer.runtime import mesh, session
from primer.runtime.ops import cross_entropy
from primer.runtime.patches import initial_values, resource_variables

# Bounds the memory of a batch, whose logits are 256 MB with T5's vocabulary. On processors batches
# of twice the tokens were no faster, and took 150 MB more of a small model.
BATCH_TOKENS = 2048


class Scorer:
    """Computes -log p of each token, given those to its left in its window.

    The first token of a window, and of a segment, sees the start symbol that it sees in training.
    Activations, weights and losses are float32, and the softmax is the model's own, over its
    padded vocabulary.

    Args:
        model: a Mesh-TF Unitransformer that reads left to right.
        length: tokens per window.
        rows: windows per batch, or None for about BATCH_TOKENS tokens. More or fewer change the
            speed and not the numbers.
        mesh_shape, layout_rules, mesh_devices: as in `utils.run`.
        as_released: whether experts drop tokens, and padding takes room of theirs, as in
            `mode = "perplexity_eval"`. A window is then one text, and numbers depend on the rows.

    Raises:
        UsageError: the model is no language model, or the rows do not divide over the mesh.
    """

    def __init__(
        self,
        model,
        length,
        rows=None,
        mesh_shape="",
        layout_rules="",
        mesh_devices=None,
        as_released=False,
    ):
        if not getattr(model, "fully_autoregressive", False):
            raise UsageError(
                f"only a language model can be scored token by token; this model is a "
                f"{type(model).__name__} (utils.run.model_type; expected 'lm')"
            )
        self.length = length
        mesh_shape = mtf.convert_to_shape(mesh_shape)
        layout = mtf.convert_to_layout_rules(layout_rules)
        self.rows = _rows(rows, length, mesh_shape, layout)
        with gc_pause.paused(), tf.Graph().as_default() as graph, build_mode.building("eval"):
            resource_variables.use_resources()
            devices = mesh_devices or [""] * mesh_shape.size
            mesh_impl = mtf.placement_mesh_impl.PlacementMeshImpl(mesh_shape, layout, devices)
            self._feeds = {
                name: tf.placeholder(tf.int32, [self.rows, length], name)
                for name in ("targets", "targets_segmentation", "targets_position")
            }
            self._as_released = as_released
            if not as_released:
                graph_marks.forbid_token_dropping()
            with initial_values.weights_restored():
                losses, are_best = self._losses(model)
            self.caveats = graph_marks.caveats()
            build_mode.say_caveats()
            lowering = mtf.Lowering(losses.graph, {losses.mesh: mesh_impl}, autostack=True)
            nats = lowering.export_to_tf_tensor(losses)
            self._nats = tf.reshape(nats, [self.rows, length])
            # Costs nothing where it is not asked for: a session runs what is fetched.
            are_best = lowering.export_to_tf_tensor(are_best)
            self._are_best = tf.reshape(are_best, [self.rows, length])
            self._to_slices = lowering.copy_masters_to_slices()
            self._restore = checkpoint_files.Restore(tf.global_variables())
            graph.finalize()
        self._session = tf.Session(graph=graph, config=session.default_config())

    def _losses(self, model):
        """mtf.Tensors [outer_batch, batch, length]: losses, and which tokens are the best."""
        scoring = mtf.Mesh(mtf.Graph(), "scoring")
        outer = configured("tpu_estimator_model_fn.outer_batch_size", 1) or 1
        sizes = {"outer_batch": outer, "batch": self.rows // outer, "length": self.length}
        shape = mtf.Shape([mtf.Dimension(name, size) for name, size in sizes.items()])

        targets, segments, positions = (
            mtf.import_fully_replicated(
                scoring, tf.reshape(tensor, shape.to_integer_list), shape, name=name
            )
            for name, tensor in self._feeds.items()
        )
        if self._as_released:
            segments = positions = None
        logits, _ = model.call_simple(
            inputs=transformer.autoregressive_inputs(targets, sequence_id=segments),
            targets=targets,
            compute_loss=False,
            mode=tf.estimator.ModeKeys.EVAL,
            variable_dtype=utils.get_variable_dtype(),
            sequence_id=segments,
            position=positions,
        )
        losses = cross_entropy.cross_entropy(logits, targets, model.output_vocab_dim)
        are_best = mtf.cast(mtf.equal(_best(logits, model), targets), tf.int32)
        return mtf.anonymize(losses), mtf.anonymize(are_best)

    def restore(self, checkpoint_path):
        """Takes the weights of a checkpoint.

        Raises:
            RunError: it cannot be read.
            UsageError: it is of another model.
        """
        # In a notebook, which is eager outside of graphs, a Saver would not use its session.
        with self._session.graph.as_default():
            self._restore(self._session, checkpoint_path)
        self._session.run(self._to_slices)

    def nats(self, targets, segments=None):
        """The losses of any number of windows.

        Args:
            targets: token ids, [windows, length] integers; 0 is padding, at the end of a window.
            segments: numbers that tell the texts of a window apart, 0 for padding, same shape.
                Texts of one window do not see each other. None: all tokens of a window are one
                text.

        Returns:
            -log p in nats, [windows, length] float32, 0 at padding.
        """
        (nats,) = self._all(targets, segments, [self._nats])
        return nats

    def nats_and_best(self, targets, segments=None):
        """The same, and which tokens are the model's first choice.

        Args:
            targets, segments: as for `nats`.

        Returns:
            (nats, are_best [windows, length] bool): whether no other token of the vocabulary has a
            higher probability; of equal ones the first has it. False at padding.
        """
        nats, are_best = self._all(targets, segments, [self._nats, self._are_best])
        return nats, are_best.astype(bool)

    def _all(self, targets, segments, fetches):
        """What is fetched of any number of windows, each [windows, length], 0 at padding."""
        targets = np.asarray(targets, np.int32)
        segments = np.asarray(targets != 0 if segments is None else segments, np.int32)
        results = [np.zeros(targets.shape, fetch.dtype.as_numpy_dtype) for fetch in fetches]
        for start in range(0, len(targets), self.rows):
            rows = slice(start, start + self.rows)
            found = self._batch(targets[rows], segments[rows], fetches)
            for result, values in zip(results, found, strict=True):
                result[rows] = values
        return [np.where(segments > 0, result, 0) for result in results]

    def _batch(self, targets, segments, fetches):
        """One run of the graph; missing rows are padding."""
        missing = ((0, self.rows - len(targets)), (0, 0))
        values = (targets, segments, _positions(segments))
        feeds = {
            tensor: np.pad(value, missing)
            for tensor, value in zip(self._feeds.values(), values, strict=True)
        }
        return [found[: len(targets)] for found in self._session.run(fetches, feeds)]

    def close(self):
        """Ends the session; the scorer cannot be used any more."""
        self._session.close()


def _best(logits, model):
    """The likeliest token of those that a text may have: no padding of ids or of the vocabulary."""
    vocab = model.output_vocab_dim
    ids = mtf.range(logits.mesh, vocab, tf.int32)
    outside = mtf.logical_or(
        mtf.equal(ids, 0), mtf.greater_equal(ids, model.output_vocab_size_unpadded)
    )
    return mtf.argmax(mtf.cast(logits, tf.float32) - 1e9 * mtf.cast(outside, tf.float32), vocab)


def _rows(rows, length, mesh_shape, layout):
    """The rows of a batch: as asked for, or as many as the mesh divides."""
    divisor = mesh.rows_divisor(mesh_shape, layout) * (
        configured("tpu_estimator_model_fn.outer_batch_size", 1) or 1
    )
    if rows is None:
        rows = max(BATCH_TOKENS // length // divisor, 1) * divisor
    if rows < 1 or rows % divisor:
        raise UsageError(
            f"batch size {rows} of the evaluation: expected a multiple of {divisor}, over which "
            "the mesh divides the rows"
        )
    return rows


def _positions(segments):
    """The position of each token in its segment, as packed training examples have it."""
    index = np.broadcast_to(np.arange(segments.shape[1], dtype=np.int32), segments.shape)
    is_first = np.diff(segments, axis=1, prepend=0) != 0
    return index - np.maximum.accumulate(np.where(is_first, index, 0), axis=1)
