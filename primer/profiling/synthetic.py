"""Profiles of a step of the model that gin describes, on random ids: no data are needed."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow.compat.v1 as tf

from primer.checkpoints import variable_slices
from primer.planning import parse
from primer.planning.device_program import lowered_run, measured_step
from primer.planning.device_program.lowered_run import LoweredRun
from primer.profiling import profile, protocol
from primer.runtime import session
from primer.runtime.compilation import setting as compilation
from primer.runtime.training import run_cost
from primer.runtime.training.profiling.timed_steps import WARM_UP, TimedSteps


@dataclasses.dataclass(frozen=True)
class Request:
    """What to profile.

    Attributes:
        vocabulary_size: the number of token ids.
        mode: "train" or "eval".
        steps: how many steps are traced, and as many timed without a trace.
        warm_up: how many run before.
        threads_between: how many operations run at once; 0 is TensorFlow's choice.
        threads_within: how many threads an operation has; 0 is TensorFlow's choice.
        mesh_shape, layout_rules: as `utils.run.mesh_shape` and `.layout_rules`.
    """

    vocabulary_size: int
    mode: str = "train"
    steps: int = 5
    warm_up: int = WARM_UP
    threads_between: int = 0
    threads_within: int = 0
    mesh_shape: str = ""
    layout_rules: str = ""

    def config(self) -> tf.ConfigProto:
        """Returns the configuration of the session: a run's, with these threads."""
        config = session.default_config()
        config.inter_op_parallelism_threads = self.threads_between
        config.intra_op_parallelism_threads = self.threads_within
        config.use_per_session_threads = True
        return config


def measured(
    request: Request, say: Callable[[str], None] = lambda text: None
) -> tuple[profile.Profile, TimedSteps, tf.Graph]:
    """Returns a profile, the steps that it was made of, and their graph.

    Args:
        request: what to profile.
        say: gets what is done next, as a line.

    Raises:
        UsageError: the model cannot be built.
    """
    say("the graph is built")
    with parse.building("the model"):
        run = lowered_run.lower(
            request.vocabulary_size,
            request.mode,
            request.mesh_shape,
            request.layout_rules,
            for_tpu=False,
            mesh_class=measured_step.placed_mesh,
            will_run=True,
        )
    config = request.config()
    steps = TimedSteps(request.steps, request.warm_up)
    with _ready(run, config) as (sess, step):
        say("TensorFlow prepares the graph")
        for number in range(steps.total):
            steps.run(lambda options, data: sess.run(step, options=options, run_metadata=data))
            say(f"step {number + 1} of {steps.total}")
    say("the product and the memory are measured")
    batch, device = tuple(run.batch.values()), run_cost.device_of({}, None)
    setting = protocol.Setting(
        request.mode, batch, run.activation_dtype, device, config, compilation.is_on(None)
    )
    return profile.of_steps(run, steps, setting), steps, run.graph


@contextlib.contextmanager
def _ready(run: LoweredRun, config: tf.ConfigProto) -> Iterator[tuple[tf.Session, Any]]:
    """Yields a session with initial values, and the operation that runs a step."""
    with run.graph.as_default():
        step = tf.group(run.lowering.results())
        values = [
            variable_slices.initializer(tf.global_variables()),
            tf.local_variables_initializer(),
        ]
        with tf.Session(config=session.with_cpus(config, run.mesh.size)) as sess:
            sess.run(values)
            yield sess, step
