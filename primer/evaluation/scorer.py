"""Scores windows of tokens under the configured model: one graph and session, many checkpoints."""

from collections.abc import Callable

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.checkpoints import restoring, variable_slices
from primer.common import build_mode, gc_pause, graph_marks
from primer.common.recurrence import carried_state
from primer.errors import UsageError
from primer.evaluation import scoring_graph
from primer.evaluation.memory import reach
from primer.evaluation.windows import batch_rows, row_values
from primer.evaluation.windows.routing import RoutingStatistics
from primer.runtime import estimator_model, session
from primer.runtime.compilation import program, setting
from primer.runtime.patches import initial_values, resource_variables


class Scorer:
    """Computes -log p of each token, given the tokens to its left in its window.

    The first token of a window, and of a segment, is predicted from the start symbol, as in
    training. Weights and losses are float32, and so are activations unless bfloat16 is asked for;
    the softmax is the model's own, over its padded vocabulary.

    Args:
        model: a Mesh-TF Unitransformer that reads left to right, or as `masked` says.
        length: tokens per window.
        rows: windows per batch, or None for about `batch_rows.BATCH_TOKENS` tokens. It changes
            the speed and not the numbers.
        mesh_shape, layout_rules, mesh_devices: as in `utils.run`.
        as_released: whether experts drop tokens, and padding uses their capacity, as in
            `mode = "perplexity_eval"`. A window is then one text, and numbers depend on `rows`.
        masked: whether the model sees both sides of a token, and reads other tokens than it
            predicts: `inputs` of `nats`.
        reads_inputs: whether the first token of a window may be predicted from another than the
            start symbol: `inputs` of `nats`. A model with memory always reads them.
        recomputed: of a model with memory, tokens at the end of a window that the next window has
            again, before its own; memory ends before them, and a window is one segment.
        activation_dtype: "float32" or "bfloat16".
        router_statistics: whether to count the experts that tokens choose, where no token is
            dropped; it changes no loss.

    Raises:
        UsageError: the model is not a language model, or the mesh does not divide the rows.

    Attributes:
        length, rows, recomputed: as above; rows is always a number.
        routing: the statistics of the routers since the last `restore`.
        memory: what the model keeps of earlier windows (`begins` of `nats`); None without memory,
            and as released, where every window begins with empty memory.
        caveats: sentences on layers whose losses depend on the other texts of a batch, and on
            memory that is not used.
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
        reads_inputs: bool = False,
        recomputed: int = 0,
        activation_dtype: str = "float32",
        router_statistics: bool = False,
    ) -> None:
        _check_kind(model, masked)
        self.length, self.recomputed = length, recomputed
        self.memory = None if as_released or masked else reach.of_model(model)
        self.before_batch: Callable[[], None] | None = None
        mesh_shape = mtf.convert_to_shape(mesh_shape)
        layout = mtf.convert_to_layout_rules(layout_rules)
        self.rows = batch_rows.rows_of_batch(rows, length, mesh_shape, layout)
        with (
            gc_pause.paused(),
            tf.Graph().as_default() as graph,
            build_mode.building("eval"),
            build_mode.compiling(setting.is_on(mesh_devices)),
        ):
            resource_variables.use_resources()
            devices = mesh_devices or [""] * mesh_shape.size
            mesh_impl = mtf.placement_mesh_impl.PlacementMeshImpl(mesh_shape, layout, devices)
            self._feeds = self._placeholders(masked or reads_inputs)
            if not as_released:
                graph_marks.forbid_token_dropping()
            if router_statistics:
                graph_marks.collect_routing()
            with initial_values.weights_restored():
                losses, are_best, updates = scoring_graph.losses_and_best(
                    model, self._feeds, as_released, recomputed, activation_dtype
                )
            self.caveats = graph_marks.caveats()
            if as_released and reach.of_model(model):
                self.caveats = [*self.caveats, "Every row begins with empty memory."]
            if activation_dtype != "float32":
                self.caveats = [*self.caveats, f"Activations are {activation_dtype}."]
            build_mode.say_caveats()
            self.routing = RoutingStatistics()
            lowering = mtf.Lowering(losses.graph, {losses.mesh: mesh_impl}, autostack=True)
            nats = lowering.export_to_tf_tensor(losses)
            nats = tf.reshape(nats, [self.rows, length])
            # Costs nothing unless `nats_and_best` fetches it, with a program of its own.
            are_best = lowering.export_to_tf_tensor(are_best)
            are_best = tf.reshape(are_best, [self.rows, length])
            self.routing.export(lowering)
            updates = [lowering.lowered_operation(update) for update in updates]
            # Never run, as slices are restored without masters; recorded graphs have it.
            lowering.copy_masters_to_slices()
            self._nats, self._nats_and_best = (
                program.Program(
                    (found, self.routing.fetches, updates), mesh_devices, "the evaluation"
                )
                for found in ([nats], [nats, are_best])
            )
            # The memory is that of the last batch, whatever a checkpoint of training has.
            state = carried_state.graph_variables()
            empty_state = variable_slices.initializer(state) if state else []
            self._restore = restoring.Restore([v for v in tf.global_variables() if v not in state])
            graph.finalize()
        self._session = tf.Session(graph=graph, config=session.default_config())
        self._session.run(empty_state)

    def _placeholders(self, reads_inputs):
        """Returns {name: what is fed for each batch}."""
        names = [*scoring_graph.FEEDS]
        if reads_inputs or self.memory:
            names.append(scoring_graph.INPUTS)
        shape = [self.rows, self.length]
        feeds = {name: tf.placeholder(tf.int32, shape, name) for name in names}
        if self.memory:
            name = scoring_graph.BEGINS
            feeds[name] = tf.placeholder(tf.int32, [self.rows], name)
        return feeds

    def restore(self, checkpoint_path: str) -> None:
        """Loads the weights of a checkpoint.

        Raises:
            RunError: the checkpoint cannot be read.
            UsageError: the checkpoint is of another model.
        """
        # In a notebook, which is eager outside of graphs, a Saver would not use its session.
        with self._session.graph.as_default():
            self._restore(self._session, checkpoint_path)
        self.routing.reset()

    def nats(
        self,
        targets: np.ndarray,
        segments: np.ndarray | None = None,
        inputs: np.ndarray | None = None,
        begins: np.ndarray | None = None,
    ) -> np.ndarray:
        """Returns the losses of any number of windows.

        Args:
            targets: token ids, [windows, length] integers; 0 is padding, at the end of a window.
            segments: the number of each token's text in its window, 0 for padding, same shape.
                Texts of one window do not see each other. None: a window is one text.
            inputs: what the model reads at each position, same shape; None, of a model that is not
                masked: the target before it in its text.
            begins: of a model with memory, whether a window begins with empty memory, [windows]
                bool. The others go on from the window that stands `rows` before, also from one
                of the last call. None: all begin.

        Returns:
            -log p in nats, [windows, length] float32, 0 at padding.
        """
        (nats,) = self._all_batches(targets, segments, inputs, begins, self._nats)
        return nats

    def nats_and_best(
        self,
        targets: np.ndarray,
        segments: np.ndarray | None = None,
        inputs: np.ndarray | None = None,
        begins: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns (nats, are_best) of any number of windows; arguments as for `nats`.

        are_best is [windows, length] bool: whether no other token of the vocabulary has a higher
        probability (of equal ones, the first is the best); False at padding.
        """
        nats, are_best = self._all_batches(targets, segments, inputs, begins, self._nats_and_best)
        return nats, are_best.astype(bool)

    def _all_batches(self, targets, segments, inputs, begins, fetched):
        """Runs a program for any number of windows; its results are [windows, length].

        They are 0 at padding.
        """
        targets = np.asarray(targets, np.int32)
        segments = np.asarray(targets != 0 if segments is None else segments, np.int32)
        values = {
            scoring_graph.INPUTS: row_values.previous_tokens(targets, segments)
            if inputs is None
            else inputs,
            scoring_graph.BEGINS: np.ones(len(targets)) if begins is None else begins,
            **dict(
                zip(
                    scoring_graph.FEEDS,
                    (targets, segments, row_values.positions(segments)),
                    strict=True,
                )
            ),
        }
        given = {name: np.asarray(values[name], np.int32) for name in self._feeds}
        types = [value.dtype.as_numpy_dtype for value in fetched.fetches[0]]
        results = [np.zeros(targets.shape, dtype) for dtype in types]
        for start in range(0, len(targets), self.rows):
            rows = slice(start, start + self.rows)
            found = self._batch({name: value[rows] for name, value in given.items()}, fetched)
            for result, values in zip(results, found, strict=True):
                result[rows] = values
        return [np.where(segments > 0, result, 0) for result in results]

    def _batch(self, given, fetched):
        """Runs a program once; missing rows are padding."""
        if self.before_batch is not None:
            self.before_batch()
        number = len(next(iter(given.values())))
        feeds = {
            tensor: np.pad(
                given[name], [(0, self.rows - number)] + [(0, 0)] * (given[name].ndim - 1)
            )
            for name, tensor in self._feeds.items()
        }
        found, routing, _ = fetched.run(self._session.run, feeds)
        self.routing.add(routing, feeds[self._feeds["targets_segmentation"]] > 0)
        return [values[:number] for values in found]

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
