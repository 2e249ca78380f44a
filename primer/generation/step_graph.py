"""One decoding step as a graph, with the layers' decoding states in variables.

Mesh-TensorFlow decodes in one loop inside one graph: nothing can be printed before its end, and
every row waits for the slowest. Here the prompts pass through the model once (mode "first_part").
The states of the layers (keys, values, the last inputs of convolutions) stay in variables on the
model's own devices, and each run of the step (mode "incremental") reads and updates them.
"""

from collections.abc import Sequence

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.checkpoints import restoring
from primer.common import build_mode, gc_pause
from primer.errors import UsageError
from primer.generation import prompts
from primer.runtime import estimator_model, session
from primer.runtime.compilation import program, setting
from primer.runtime.patches import initial_values, resource_variables

# The variable scope of the states, which are not in the checkpoint.
_SCOPE = "decoding_states"


class StepGraph:
    """Computes the logits of the next token of each row, step by step.

    Args:
        model: a Mesh-TF Unitransformer that reads left to right.
        rows: sequences at a time.
        length: positions of the states: the longest sequence, prompt included.
        mesh_shape, layout_rules, mesh_devices: as in `utils.run`.
        prompt_length: tokens of the longest prompt, at most `length`; None for `length`. Prompts
            are computed as rows of so many tokens where the model allows it (`prompts`).

    Raises:
        UsageError: the model is not a language model, or its layers cannot decode step by step.

    Attributes:
        rows, length: as given.
        prompt_length: tokens of the prompts' rows.
        is_endless: whether texts may be longer than `length`, as with a memory.
    """

    def __init__(
        self,
        model: transformer.Unitransformer,
        rows: int,
        length: int,
        mesh_shape: str | mtf.Shape = "",
        layout_rules: str | mtf.LayoutRules = "",
        mesh_devices: list[str] | None = None,
        prompt_length: int | None = None,
    ) -> None:
        if not getattr(model, "fully_autoregressive", False):
            raise UsageError(
                "only a language model generates text token by token; this model is "
                f"{estimator_model.kind_of(model)}, expected 'lm'"
            )
        self.rows, self.length = rows, length
        self.is_endless = prompts.is_endless(model)
        mesh_shape = mtf.convert_to_shape(mesh_shape)
        layout = mtf.convert_to_layout_rules(layout_rules)
        is_short = prompts.may_be_shorter(model, layout, mesh_shape)
        self.prompt_length = (prompt_length or length) if is_short else length
        devices = mesh_devices or [""] * mesh_shape.size
        with (
            gc_pause.paused(),
            tf.Graph().as_default() as graph,
            build_mode.building("infer"),
            build_mode.compiling(setting.is_on(mesh_devices)),
        ):
            resource_variables.use_resources()
            mesh_impl = mtf.placement_mesh_impl.PlacementMeshImpl(mesh_shape, layout, devices)
            with initial_values.weights_restored():
                fill, step = self._build(model, mesh_impl)
            self._fill = program.Program(fill, mesh_devices, "the reading of prompts")
            self._step = program.Program(step, mesh_devices, "a step of decoding")
            build_mode.say_caveats()
            graph.finalize()
        self._session = tf.Session(graph=graph, config=session.default_config())

    def _build(self, model, mesh_impl):
        """Returns what to fetch to fill the states after prompts, and for a step."""
        mesh = mtf.Mesh(mtf.Graph(), "decoding")
        batch, length = mtf.Dimension("batch", self.rows), mtf.Dimension("length", self.length)
        row = mtf.Dimension("length", self.prompt_length)
        self._prompts, given = _fed(mesh, "prompts", [batch, row])
        self._lengths, lengths = _fed(mesh, "lengths", [batch])
        self._given, is_given = _fed(mesh, "given", [batch])
        self._tokens, tokens = _fed(mesh, "tokens", [batch])
        self._positions, positions = _fed(mesh, "positions", [batch])

        initial = prompts.states_after(model, given, lengths, length)
        states = [_state_variable(mesh, i, state) for i, state in enumerate(initial)]
        logits, new = _step(model, tokens, positions, length, states)
        fills = [
            mtf.assign(state, _chosen(is_given, value, state))
            for state, value in zip(states, initial)
        ]
        # A new state may be the old one of another: read all of them before writing any.
        new = [mtf.depend(value, states) for value in new]
        updates = [mtf.assign(state, value) for state, value in zip(states, new)]
        logits = mtf.anonymize(mtf.cast(logits, tf.float32))

        lowering = mtf.Lowering(mesh.graph, {mesh: mesh_impl}, autostack=False)
        logits = lowering.export_to_tf_tensor(logits)
        fills = [lowering.lowered_operation(op) for op in fills]
        updates = [lowering.lowered_operation(op) for op in updates]
        # Never run, as slices are restored without masters; recorded graphs have it.
        lowering.copy_masters_to_slices()
        own = [v for v in tf.global_variables() if v.op.name.startswith(_SCOPE)]
        self._empty_states = _emptied(lowering, states)
        self._restore = restoring.Restore([v for v in tf.global_variables() if v not in own])
        return fills, [logits, updates]

    def restore(self, checkpoint_path: str) -> None:
        """Loads the weights of a checkpoint and resets the states.

        Raises:
            RunError: the checkpoint cannot be read.
            UsageError: the checkpoint is of another model.
        """
        with self._session.graph.as_default():
            self._session.run(self._empty_states)
            self._restore(self._session, checkpoint_path)

    def read_prompts(self, texts: Sequence[Sequence[int] | None]) -> None:
        """Replaces the states by those after the given tokens.

        Args:
            texts: `rows` sequences of token ids, each of at most `prompt_length`; an empty one
                begins a document, and a row with None keeps its states.
        """
        given = [ids is not None for ids in texts]
        prompts = [[] if ids is None else ids for ids in texts]
        padded = np.zeros([self.rows, self.prompt_length], np.int32)
        for row, ids in enumerate(prompts):
            padded[row, : len(ids)] = ids
        lengths = [len(ids) for ids in prompts]
        feeds = {self._prompts: padded, self._lengths: lengths, self._given: given}
        self._fill.run(self._session.run, feeds)

    def next_logits(self, tokens: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Runs one step and updates the states.

        Args:
            tokens: the last token of each row so far, `[rows]`; 0 at the beginning of a document.
            positions: the position of the token to predict, `[rows]`, below `length` unless the
                graph is endless.

        Returns:
            float32 logits of the tokens at these positions, `[rows, padded vocabulary]`.
        """
        feeds = {self._tokens: tokens, self._positions: positions}
        return self._step.run(self._session.run, feeds)[0]

    def close(self) -> None:
        """Closes the session; the graph cannot be used afterwards."""
        self._session.close()


def _fed(mesh, name, dims):
    """A placeholder of ids, and the mtf.Tensor of its values on every device."""
    shape = mtf.Shape(dims)
    placeholder = tf.placeholder(tf.int32, shape.to_integer_list, name)
    return placeholder, mtf.import_fully_replicated(mesh, placeholder, shape, name=name)


def _step(model, tokens, positions, length, states):
    """The logits of one position, and the states after it."""
    context = prompts.context(
        model,
        tokens.mesh,
        tokens.shape.dims,
        length,
        mode="incremental",
        position=positions,
        read_priority=positions,
        states=states,
        inputs=tokens,
    )
    # Attention writes a position into the memory of the variable that holds its cache.
    context.owns_states = True
    with tf.variable_scope(model.name, reuse=True):
        logits = model._call_internal(context, tokens)
    for old, new in zip(states, context.new_states, strict=True):
        if old.shape != new.shape:
            raise UsageError(
                f"a layer changed the shape of a decoding state from {old.shape} to {new.shape}"
            )
    return logits, context.new_states


def _chosen(is_given, value, state):
    """The new value in the rows that are given, and the old state in others.

    It has memory of its own, which steps overwrite: an assignment of the value may share memory.
    """

    def choose(is_given, value, state):
        return tf.where(is_given > 0, value, state)

    inputs = [mtf.broadcast(is_given, state.shape), value, state]
    return mtf.cwise(choose, inputs, output_dtype=state.dtype)


def _emptied(lowering, states):
    """The operation that gives states zeros, each in memory of its own."""
    held = [v for s in states for v in lowering.variables[s.operation].laid_out_tensor.all_slices]
    return tf.group(
        *(v.assign(tf.raw_ops.DeepCopy(x=tf.zeros(v.shape, v.dtype.base_dtype))).op for v in held)
    )


def _state_variable(mesh, index, state):
    """The variable of a state, with the state's layout on the mesh."""
    with tf.variable_scope(_SCOPE):
        return mtf.get_variable(
            mesh,
            f"state_{index}",
            state.shape,
            dtype=mtf.VariableDType(state.dtype, state.dtype, state.dtype),
            initializer=tf.zeros_initializer(),
            trainable=False,
        )
