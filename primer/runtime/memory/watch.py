"""The memory of a run of training: predicted before its first step, measured after a few.

A thread predicts the peak from the graph of the run while the session is made, by the function that
planning registers. A run that lacks more than a quarter of what there is does not start.
"""

import contextlib
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from primer.common import console
from primer.errors import RunError, UsageError
from primer.runtime import callbacks, cluster
from primer.runtime.memory import machine, policy
from primer.runtime.memory.devices import Devices

# A shortage by a larger factor refuses the run. Predictions are off by up to a fifth, and the
# system can write other programs' memory to disk.
CLEAR = 1.25
# Steps without a checkpoint under way over which the peak is measured.
MEASURED_STEPS = 3


_COMPILER = " What XLA takes to compile the step comes on top."


class Watch:
    """The memory of one run.

    Args:
        estimator: the LocalEstimator.
        results: what a step of the default graph runs.
        hosts: the hosts that train, or None for this process alone.
        is_compiled: whether XLA compiles the step.
    """

    def __init__(
        self,
        estimator: Any,
        results: Sequence[tf.Operation],
        hosts: cluster.Cluster | None = None,
        is_compiled: bool = False,
    ) -> None:
        self._estimator = estimator
        self._devices = Devices(estimator.settings, hosts)
        self._is_compiled = is_compiled
        self._before = machine.resident()
        self._available = machine.available()
        self._need: callbacks.MemoryNeed | None = None
        self._trainable = {v.op.name for v in tf.trainable_variables()}
        self._clean_steps: int | None = None
        self._is_measured = False
        operations = tf.get_default_graph().get_operations()
        self._thread = threading.Thread(target=self._predict, args=(operations, list(results)))
        self._thread.start()

    def _predict(self, operations, results):
        planner = callbacks.memory_planner()
        if planner is None:
            return
        try:
            self._need = planner.need(operations, results, self._devices.counts)
        except Exception as error:  # A prediction must not end a run.
            console.log(f"the memory of a step could not be predicted: {error!r}")

    def check(self, sess: tf.Session) -> None:
        """Prints the predicted peak; to be called before the first step.

        Args:
            sess: the session of the run.

        Raises:
            UsageError: it is far above what is available, and `memory_check` refuses such a run.
        """
        shortage = policy.memory_check()
        self._thread.join()
        if self._need is None:
            return
        available = self._devices.available(sess, self._available)
        sentence = _prediction(self._need, self._trainable, available, self._devices.where)
        console.say(sentence + (_COMPILER if self._is_compiled else ""))
        if shortage == policy.IGNORE or available is None or self._need.total <= available:
            return
        changes = self._changes(available)
        is_clear = self._need.total > CLEAR * available
        sentence = (
            f"a step is predicted to need {machine.as_text(self._need.total)} of memory, and "
            f"{machine.as_text(available)} are available. {changes}"
        )
        if is_clear and shortage == policy.REFUSE:
            raise UsageError(
                f"{sentence} To train all the same: --gin_param \"memory_check.shortage = 'warn'\""
            )
        console.say(f"Warning: {sentence}")

    def _changes(self, available: int) -> str:
        planner = callbacks.memory_planner()
        console.say("Planning changes that need less memory ...")
        available *= self._devices.number
        return planner.changes(self._estimator.settings, available) if planner else ""

    def after_step(self, is_saving: bool) -> None:
        """Measures the peak over some steps, and prints it once.

        Args:
            is_saving: whether a checkpoint, whose values are copied, is under way.
        """
        if self._is_measured or self._need is None:
            return
        if is_saving:
            self._clean_steps = None
        elif self._clean_steps is None:
            machine.reset_most()
            self._clean_steps = 0
        else:
            self._clean_steps += 1
            if self._clean_steps == MEASURED_STEPS:
                self._is_measured = True
                self._say_measured()

    def _say_measured(self):
        most, how = self._devices.measured(self._before)
        if most is not None and self._need is not None:
            console.say(
                f"Memory: {machine.as_text(most)} measured at the peak of "
                f"{MEASURED_STEPS} steps ({how}), {machine.as_text(self._need.total)} predicted."
            )


def _prediction(
    need: callbacks.MemoryNeed, trainable: set[str], available: int | None, where: str
) -> str:
    weights = sum(size for name, size in need.variables.items() if name in trainable)
    state = sum(need.variables.values()) - weights
    held = f"weights {machine.as_text(weights)}, optimizer and other state {machine.as_text(state)}"
    if not weights:  # Slices of a mesh.
        held = f"weights and optimizer {machine.as_text(state)}"
    there = "" if available is None else f"; {machine.as_text(available)} are available"
    return (
        f"Memory: {machine.as_text(need.total)} predicted at the peak of a step{where}: {held}, "
        f"activations, gradients and temporary results {machine.as_text(need.temporary)}{there}."
    )


@contextlib.contextmanager
def exhaustion_explained(estimator: Any) -> Iterator[None]:
    """Turns TensorFlow's error of an allocation that failed in the block to one line with changes.

    Args:
        estimator: the LocalEstimator.

    Raises:
        RunError: an allocation failed.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        if not re.search("OOM|alloc|memory", error.message or ""):
            raise  # Of files: a disk is full.
        planner = callbacks.memory_planner()
        changes = planner.changes(estimator.settings, None) if planner else ""
        raise RunError(f"out of memory ({_first_line(error)}). {changes}") from error


def _first_line(error: tf.errors.OpError) -> str:
    return (error.message or "").strip().partition("\n")[0]
