"""What a session fetches at every step, compiled by XLA where the setting asks for it."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from primer.common import console
from primer.runtime.compilation import setting
from primer.runtime.compilation.calls import Calls
from primer.runtime.compilation.segments import CannotCompile, count, divide

# What TensorFlow raises where XLA cannot compile a function, before it has changed any variable.
_ERRORS = (
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.UnimplementedError,
)


class Program:
    """Fetches, compiled on request; where XLA cannot compile them, they run as they are.

    Args:
        fetches: nested tensors and operations of the default graph, which is not finalized yet.
        mesh_devices: the devices of the mesh, or None for one.
        what: what the fetches are, for a line: "the training step".

    Attributes:
        fetches: what to fetch in place of the given ones.
        is_compiled: whether XLA computes a part of them.
    """

    def __init__(self, fetches: Any, mesh_devices: Sequence[str] | None, what: str) -> None:
        self.fetches = self._stock = fetches
        self.is_compiled, self._was_run = False, False
        self._what = what
        self._inputs: list[tf.Tensor] = []
        if setting.is_on(mesh_devices):
            self._compile(mesh_devices)

    def _compile(self, mesh_devices):
        """Adds the compiled form to the graph, or says why there is none."""
        on_gpu = setting.are_gpus(mesh_devices)
        devices = mesh_devices or [""]
        names = sorted({tf.DeviceSpec.from_string(device).to_string() for device in devices})
        if on_gpu and names == [""]:
            names = ["/device:GPU:0"]
        leaves = tf.nest.flatten(self._stock)
        operations = {leaf if isinstance(leaf, tf.Operation) else leaf.op for leaf in leaves}
        try:
            segments, constants = divide(list(operations), names, on_gpu)
        except CannotCompile as reason:
            self._say_uncompiled(str(reason))
            return
        if not count(segments):
            return
        tensors = [leaf for leaf in leaves if isinstance(leaf, tf.Tensor)]
        name = "xla_" + self._what.removeprefix("the ").replace(" ", "_")
        calls = Calls(tf.get_default_graph(), segments, constants, tensors, name)
        self.fetches = tf.nest.map_structure(calls.replaced, self._stock)
        self.is_compiled = True
        self._inputs = [
            tensor
            for segment in segments
            for op in segment.operations
            if op.type == "IteratorGetNext"
            for tensor in op.outputs
        ]

    def run(
        self, session_run: Callable, feeds: dict | None = None, read: Callable | None = None
    ) -> Any:
        """Returns the values of the fetches.

        The first run compiles. Where that fails, one line says why, and the same batch is computed
        uncompiled, as all later ones.

        Args:
            session_run: `run` of a session.
            feeds: the values of placeholders.
            read: `run` of the session that reads a batch of the input first, where it is another.
        """
        if not self.is_compiled or self._was_run:
            return session_run(self.fetches, feeds)
        batch = dict(feeds or {})
        if self._inputs:
            # Read once: a failed run would have taken the batch from the input.
            values = (read or session_run)(self._inputs)
            batch.update(zip(self._inputs, values, strict=True))
        began = time.monotonic()
        try:
            found = session_run(self.fetches, batch)
        except _ERRORS as error:
            self._say_uncompiled(_first_line(error))
            self.fetches, self.is_compiled = self._stock, False
            return session_run(self.fetches, batch)
        console.say(f"XLA compiled {self._what} in {time.monotonic() - began:.1f} s.")
        self._was_run = True
        return found

    def _say_uncompiled(self, reason):
        console.say(f"XLA does not compile {self._what}, which runs uncompiled: {reason}.")


def _first_line(error):
    """Returns the line of TensorFlow's message that says what happened."""
    lines = [line.strip() for line in str(error.message).splitlines() if line.strip()]
    places = ("Graph execution error", "Detected at node", "File ", "Node: ", "(0)", "(1)")
    telling = [line for line in lines if not line.startswith(places)]
    return (telling or lines or [type(error).__name__])[0].rstrip(".")[:300]
