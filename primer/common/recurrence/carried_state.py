"""The state that each row of a batch hands to the row of the next batch which continues its text.

Transformer-XL (https://arxiv.org/abs/1901.02860), section 3.2: a layer keeps the hidden states of
earlier rows as its memory. They are tensors `[batch, ...]` of a Mesh-TF graph that a step reads
once and assigns once. The state's variables lie on the mesh as the batch does; a checkpoint of
training has them.

Who builds a graph in which rows continue those of the batch before declares the state before it
builds the model; layers read and record values where a state is declared, and else treat every row
as the beginning of a text. With microbatches, each has its part of the rows: the state's values
enter the loop with the features, and leave it with the outputs.
"""

import contextlib
from collections.abc import Iterator, Mapping

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

# The scope of the variables.
SCOPE = "carried_state"
# The parts of every state: the texts of the positions in memory, int32 `[batch,
# memory_positions]`, 0 for none; and where rows are shifted to inputs, the last token of each.
TEXTS = "texts"
LAST_TOKENS = "last_tokens"
# The collection of a graph that has its state. TensorFlow leaves out a key that is a tuple, without
# a warning, where it writes a graph.
_KEY = ("primer/carried_state",)

Dims = tuple[mtf.Dimension, ...]


class CarriedState:
    """The state of one graph.

    Args:
        parts: {name of a part: (its Dimensions besides those of the batch, its type)}. Its initial
            value is zero.
        recomputed: tokens at the end of a row that the next row has again, before its own; what is
            handed to it ends before them.

    Attributes:
        recomputed: as above.
    """

    def __init__(self, parts: Mapping[str, tuple[Dims, tf.DType]], recomputed: int = 0) -> None:
        self._parts = dict(parts)
        self.recomputed = recomputed
        self._before: dict[str, mtf.Tensor] = {}
        self._after: dict[str, mtf.Tensor] = {}

    def begin(self, mesh: mtf.Mesh, batch_dims: list[mtf.Dimension]) -> None:
        """Makes the variables, unless `values_in_loop` has given values; called once a graph."""
        if not self._before:
            self._before = self.variables(mesh, batch_dims)

    def variables(self, mesh: mtf.Mesh, batch_dims: list[mtf.Dimension]) -> dict[str, mtf.Tensor]:
        """Returns the variables' values before the step, `[batch, ...]` by name of the part."""
        # A scope object is absolute, wherever in a model this is called. It has no settings of the
        # scope around it. The read of a variable that is no resource aliases its buffer: a part
        # would be written while the model still reads it.
        scope = tf.VariableScope(tf.AUTO_REUSE, name=SCOPE, use_resource=True)
        with tf.variable_scope(scope):
            return {
                name: mtf.get_variable(
                    mesh,
                    name,
                    mtf.Shape([*batch_dims, *dims]),
                    dtype=mtf.VariableDType(dtype, dtype, dtype),
                    initializer=tf.zeros_initializer(),
                    trainable=False,
                )
                for name, (dims, dtype) in self._parts.items()
            }

    def has(self, name: str) -> bool:
        """Returns whether the state has a part of this name."""
        return name in self._parts

    def value(self, name: str) -> mtf.Tensor:
        """Returns a part before the step, `[batch, ...]`."""
        return self._before[name]

    def record(self, name: str, value: mtf.Tensor) -> None:
        """Records a part after the step; of several values the first holds."""
        self._after.setdefault(name, mtf.stop_gradient(value))

    @contextlib.contextmanager
    def values_in_loop(self, before: Mapping[str, mtf.Tensor]) -> Iterator[dict[str, mtf.Tensor]]:
        """Builds a microbatch, with the state's values of its rows; yields those after it."""
        saved = self._before, self._after
        self._before, self._after = dict(before), {}
        try:
            yield self._after
        finally:
            self._before, self._after = saved

    def end_loop(
        self, variables: Mapping[str, mtf.Tensor], after: Mapping[str, mtf.Tensor]
    ) -> None:
        """Takes over from a `values_in_loop`.

        Args:
            variables: what `variables` returned, which the loop has read in place of the model.
            after: the values after the step that the loop has recorded, by name.
        """
        self._before = dict(variables)
        for name, value in after.items():
            self.record(name, value)

    def assignments(self) -> list[mtf.Operation]:
        """Returns the operations that assign the values after the step to the variables."""
        # A value may be the old one of another part: all are read before any is written.
        read = list(self._before.values())
        return [
            mtf.assign(self._before[name], mtf.depend(mtf.cast(value, self._parts[name][1]), read))
            for name, value in self._after.items()
        ]


def declare(parts: Mapping[str, tuple[Dims, tf.DType]], recomputed: int = 0) -> CarriedState | None:
    """Declares the state of the default graph, before the model is built; None without parts."""
    if not parts:
        return None
    state = CarriedState(parts, recomputed)
    tf.get_collection_ref(_KEY)[:] = [state]
    return state


def current() -> CarriedState | None:
    """Returns the state that is declared for the default graph, or None."""
    return next(iter(tf.get_collection(_KEY)), None)


def graph_variables() -> list[tf.Variable]:
    """Returns the variables of the default graph's carried state."""
    return [v for v in tf.global_variables() if is_part(v.op.name)]


def is_part(name: str) -> bool:
    """Returns whether a variable of this name belongs to a carried state."""
    return name.startswith(f"{SCOPE}/")
