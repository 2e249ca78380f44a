"""Scores windows of tokens under the configured model: one graph and session, many checkpoints."""

from collections.abc import Callable

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.checkpoints import checkpoint_files
from primer.common import build_mode, gc_pause, graph_marks
from primer.errors import UsageError
from primer.evaluation import scoring_graph
from primer.evaluation.windows.routing import RoutingStatistics
from primer.runtime import estimator_model, mesh, session
from primer.runtime.patches import initial_values, resource_variables

# Bounds the memory of a batch, whose logits are 256 MB with T5's vocabulary. On processors batches
# of twice the tokens were no faster, and took 150 MB more for a small model.
BATCH_TOKENS = 2048


class Scorer:
    """Computes -log p of each token, given the tokens to its left in its window.

    The first token of a window, and of a segment, is predicted from the start symbol, as in
    training. Activations, weights and losses are float32, and the softmax is the model's own, over
    its padded vocabulary.

    Args:
        model: a Mesh-TF Unitransformer that reads left to right, or as `masked` says.
        length: tokens per window.
        rows: windows per batch, or None for about BATCH_TOKENS tokens. It changes the speed and
            not the numbers.
        mesh_shape, layout_rules, mesh_devices: as in `utils.run`.
        as_released: whether experts drop tokens, and padding uses their capacity, as in
            `mode = "perplexity_eval"`. A window is then one text, and numbers depend on `rows`.
        masked: whether the model sees both sides of a token, and reads other tokens than it
            predicts: `inputs` of `nats`.
        router_statistics: whether to count the experts that tokens choose, where no token is
            dropped; it changes no loss.

    Raises:
        UsageError: the model is not a language model, or the mesh does not divide the rows.

    Attributes:
        length, rows: as above; rows is always a number.
        routing: the statistics of the routers since the last `restore`.
        caveats: sentences on layers whose losses depend on the other texts of a batch.
        before_batch: called before each batch; what it raises ends the scoring. None for nothing.
    """

    def __init__(
        self,
        model: transformer.Unitransformer,
        length: int,
        rows: int | None = None,
        mesh_shape: str | mtf.Shape = "",
        layout_rules: str | mtf.LayoutRules = "",
        mesh_devices: list[str] | None = None,
        as_released: bool = False,
        masked: bool = False,
        router_statistics: bool = False,
    ) -> None:
        _check_kind(model, masked)
        self.length = length
        self.before_batch: Callable[[], None] | None = None
        mesh_shape = mtf.convert_to_shape(mesh_shape)
        layout = mtf.convert_to_layout_rules(layout_rules)
        self.rows = rows_of_batch(rows, length, mesh_shape, layout)
        with gc_pause.paused(), tf.Graph().as_default() as graph, build_mode.building("eval"):
            resource_variables.use_resources()
            devices = mesh_devices or [""] * mesh_shape.size
            mesh_impl = mtf.placement_mesh_impl.PlacementMeshImpl(mesh_shape, layout, devices)
            self._feeds = {
                name: tf.placeholder(tf.int32, [self.rows, length], name)
                for name in (*scoring_graph.FEEDS, *([scoring_graph.INPUTS] if masked else []))
            }
            if not as_released:
                graph_marks.forbid_token_dropping()
            if router_statistics:
                graph_marks.collect_routing()
            with initial_values.weights_restored():
                losses, are_best = scoring_graph.losses_and_best(model, self._feeds, as_released)
            self.caveats = graph_marks.caveats()
            build_mode.say_caveats()
            self.routing = RoutingStatistics()
            lowering = mtf.Lowering(losses.graph, {losses.mesh: mesh_impl}, autostack=True)
            nats = lowering.export_to_tf_tensor(losses)
            self._nats = tf.reshape(nats, [self.rows, length])
            # Costs nothing unless `nats_and_best` fetches it.
            are_best = lowering.export_to_tf_tensor(are_best)
            self._are_best = tf.reshape(are_best, [self.rows, length])
            self.routing.export(lowering)
            self._to_slices = lowering.copy_masters_to_slices()
            self._restore = checkpoint_files.Restore(tf.global_variables())
            graph.finalize()
        self._session = tf.Session(graph=graph, config=session.default_config())

    def restore(self, checkpoint_path: str) -> None:
        """Loads the weights of a checkpoint.

        Raises:
            RunError: the checkpoint cannot be read.
            UsageError: the checkpoint is of another model.
        """
        # In a notebook, which is eager outside of graphs, a Saver would not use its session.
        with self._session.graph.as_default():
            self._restore(self._session, checkpoint_path)
        self._session.run(self._to_slices)
        self.routing.reset()

    def nats(
        self,
        targets: np.ndarray,
        segments: np.ndarray | None = None,
        inputs: np.ndarray | None = None,
    ) -> np.ndarray:
        """Returns the losses of any number of windows.

        Args:
            targets: token ids, [windows, length] integers; 0 is padding, at the end of a window.
            segments: the number of each token's text in its window, 0 for padding, same shape.
                Texts of one window do not see each other. None: a window is one text.
            inputs: what a masked model reads in place of the targets, same shape.

        Returns:
            -log p in nats, [windows, length] float32, 0 at padding.
        """
        (nats,) = self._all_batches(targets, segments, [self._nats], inputs)
        return nats

    def nats_and_best(
        self, targets: np.ndarray, segments: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns (nats, are_best) of any number of windows; arguments as for `nats`.

        are_best is [windows, length] bool: whether no other token of the vocabulary has a higher
        probability (of equal ones, the first is the best); False at padding.
        """
        nats, are_best = self._all_batches(targets, segments, [self._nats, self._are_best])
        return nats, are_best.astype(bool)

    def _all_batches(self, targets, segments, fetches, inputs=None):
        """Fetches for any number of windows; each result is [windows, length], 0 at padding."""
        targets = np.asarray(targets, np.int32)
        segments = np.asarray(targets != 0 if segments is None else segments, np.int32)
        results = [np.zeros(targets.shape, fetch.dtype.as_numpy_dtype) for fetch in fetches]
        for start in range(0, len(targets), self.rows):
            rows = slice(start, start + self.rows)
            read = [] if inputs is None else [np.asarray(inputs, np.int32)[rows]]
            found = self._batch(targets[rows], segments[rows], fetches, *read)
            for result, values in zip(results, found, strict=True):
                result[rows] = values
        return [np.where(segments > 0, result, 0) for result in results]

    def _batch(self, targets, segments, fetches, *inputs):
        """Runs the graph once; missing rows are padding."""
        if self.before_batch is not None:
            self.before_batch()
        missing = ((0, self.rows - len(targets)), (0, 0))
        values = (targets, segments, _positions(segments), *inputs)
        feeds = {
            tensor: np.pad(value, missing)
            for tensor, value in zip(self._feeds.values(), values, strict=True)
        }
        results, routing = self._session.run((fetches, self.routing.fetches), feeds)
        self.routing.add(routing, np.pad(segments, missing) > 0)
        return [found[: len(targets)] for found in results]

    def close(self) -> None:
        """Closes the session; the scorer cannot be used afterwards."""
        self._session.close()


def _check_kind(model, masked):
    """Raises UsageError unless the model sees what its tokens are predicted from."""
    if masked and not estimator_model.is_masked(model):
        raise UsageError(
            "masked tokens are predicted by a model that sees both sides; this model is "
            f"{estimator_model.kind_of(model)}, expected 'aligned'"
        )
    if not masked and not getattr(model, "fully_autoregressive", False):
        raise UsageError(
            "only a language model can be scored token by token; this model is "
            f"{estimator_model.kind_of(model)}, expected 'lm'"
        )


def rows_of_batch(
    rows: int | None,
    length: int,
    mesh_shape: str | mtf.Shape = "",
    layout_rules: str | mtf.LayoutRules = "",
) -> int:
    """Returns the rows of a batch: as given, or about BATCH_TOKENS tokens; a multiple for the mesh.

    Args:
        rows, length, mesh_shape, layout_rules: as for `Scorer`.

    Raises:
        UsageError: the mesh does not divide the rows.
    """
    layout = mtf.convert_to_layout_rules(layout_rules)
    divisor = mesh.rows_divisor(mtf.convert_to_shape(mesh_shape), layout)
    divisor *= scoring_graph.outer_batch_size()
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
