"""The training loop: runs Mesh-TF's train operation, writes checkpoints and events, validates."""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from primer.checkpoints import (
    checkpoint_files,
    directory_lock,
    model_directory,
    variable_slices,
    vocabulary_copy,
)
from primer.checkpoints.description import train_losses, trained_tokens, variable_roles
from primer.common import console, gc_pause, input_progress, random_seed
from primer.common.recurrence import carried_state
from primer.errors import RunError, UsageError
from primer.gin_config import gin_state
from primer.runtime import callbacks, cluster, inputs, model_function, session
from primer.runtime.compilation import program
from primer.runtime.memory import watch
from primer.runtime.tracking import tracker
from primer.runtime.training import (
    carried_rows,
    early_stop,
    initial_weights,
    input_record,
    progress,
    run_cost,
    run_header,
    scaffolds,
    signals,
    skipped_steps,
    summaries,
    validation,
)
from primer.runtime.training.profiling import profiled_steps
from primer.runtime.training.saving import checkpoint_writer, shared_files
from primer.runtime.training.starting import plan
from primer.runtime.training.starting import settings as start_settings

# Hooks of Mesh-TF and t5 whose work this loop does itself.
REPLACED_HOOKS = ("CheckpointSaverHook", "CheckpointInputPipelineHook", session.RESTORE_HOOK)


def train_estimator(
    estimator: Any,
    input_fn: Callable,
    steps: int | None = None,
    max_steps: int | None = None,
    hooks: Sequence[tf.train.SessionRunHook] = (),
    saving_listeners: Sequence[tf.train.CheckpointSaverListener] = (),
) -> None:
    """Trains a LocalEstimator's model from its latest checkpoint.

    Args:
        estimator: the LocalEstimator.
        input_fn: a function of `params` that returns the data set.
        steps: the number of steps, used where `max_steps` is None; None is one step.
        max_steps: the global step at which training ends.
        hooks: further hooks of the session.
        saving_listeners: further listeners, called before and after each checkpoint.

    Raises:
        UsageError: the directory is in use, or holds another architecture or vocabulary.
        RunError: the loss became NaN or infinite, or a checkpoint cannot be read or written.
        SystemExit: a signal stopped training after a step; the code is 128 + its number.
    """
    model_directory.check_trainable(estimator.model_dir)
    with (
        directory_lock.held(estimator.model_dir),
        signals.stop_on_signals(console.say) as stop_request,
    ):
        # Only under the lock: until then another run may write checkpoints.
        latest = estimator.latest_checkpoint()
        initial_checkpoint = _initial_checkpoint(estimator, latest)
        start = _first_step(latest, initial_checkpoint)
        goal = max_steps if max_steps is not None else start + (steps or 1)
        hosts = cluster.from_environment()
        validator = validation.Validation(estimator, goal, stop_request)
        with contextlib.closing(validator), cluster.end_when_host_is_lost(hosts):
            session.master(hosts)  # Other hosts wait for the chief's server, for a limited time.
            validator.catch_up(latest)
            ended = validator.early_end(start)
            if start >= goal:
                console.say(
                    f"{estimator.model_dir} is at step {start} already, and utils.run.train_steps "
                    f"= {goal}: nothing to do"
                )
            elif ended and not stop_request.requested:
                model_directory.record_early_end(estimator.model_dir, start)
                console.say(
                    f"{estimator.model_dir} is at step {start:,} of {goal:,} and had stopped "
                    f"early: {ended.reason}. Nothing to do; an --early_stop above "
                    f"{ended.validations} trains on."
                )
            elif not stop_request.requested:
                with tf.Graph().as_default(), session.chief_device(hosts):
                    shared_files.choose_host(hosts, estimator.model_dir, initial_checkpoint)
                    run = TrainingRun(
                        estimator,
                        input_fn,
                        latest,
                        goal,
                        hooks,
                        saving_listeners,
                        hosts,
                        validator,
                        initial_checkpoint,
                    )
                    run.train(stop_request)
    if stop_request.signal:
        raise SystemExit(128 + stop_request.signal)


def _initial_checkpoint(estimator, latest):
    """Returns the checkpoint whose weights a new run starts from, or None.

    A run that has a checkpoint of its own goes on from that one, if it started from there too.
    """
    setting = estimator.settings.get("init_checkpoint")
    if latest:
        start_settings.check_resumed(estimator.model_dir, setting)
        return None
    return initial_weights.find_checkpoint(setting) if setting else None


def _first_step(latest, initial_checkpoint):
    """Returns the step that a run begins at: of its own checkpoint, or of another run's if kept."""
    keeps = initial_checkpoint and start_settings.initial_weights().keep_step
    return checkpoint_files.step_of(initial_checkpoint if keeps else latest)


@dataclasses.dataclass
class TrainingRun:
    """One run of training, whose graph is built in the default graph.

    Attributes:
        estimator: the LocalEstimator.
        input_fn: a function of `params` that returns the data set.
        latest: the checkpoint that the run resumes from, or None.
        goal: the global step at which training ends.
        hooks: further hooks of the session.
        saving_listeners: further listeners, called before and after each checkpoint.
        hosts: the hosts that train, or None for this process alone.
        validation: evaluates checkpoints.
        initial_checkpoint: the checkpoint whose weights a new run starts from, or None.
    """

    estimator: Any
    input_fn: Callable
    latest: str | None
    goal: int
    hooks: Sequence[tf.train.SessionRunHook]
    saving_listeners: Sequence[tf.train.CheckpointSaverListener]
    hosts: cluster.Cluster | None
    validation: validation.Validation
    initial_checkpoint: str | None = None

    @property
    def start(self) -> int:
        """The global step that the run begins at."""
        return _first_step(self.latest, self.initial_checkpoint)

    def __post_init__(self) -> None:
        self._early_end: early_stop.EarlyEnd | None = None
        self._profiled = profiled_steps.ProfiledSteps(self.estimator, self.start, self.goal)
        with gc_pause.paused():
            self._build()

    def _build(self):
        # First, because the input may take long: this raises the errors of the model's settings.
        function = model_function.of_estimator(self.estimator)
        self._initial = None
        if self.initial_checkpoint and function.shapes:
            self._initial = plan.make(self.initial_checkpoint, function.shapes, function.tables)
        # Before the input pipeline, whose shuffles derive part of their seed from the graph's.
        tf.set_random_seed(random_seed.run_seed())
        random_seed.set_step_key(tf.train.get_or_create_global_step())
        self._reading = input_progress.InputProgress(console.say)
        features, iterator, record = self._build_input()
        self._batch_shape = [int(size) for size in features["targets"].shape]
        self._check_columns()
        with self._profiled.building():
            self._spec = self.estimator.call_model(features, "train")
        spec_hooks = [*self._spec.training_chief_hooks, *self._spec.training_hooks]
        self._checkpoints = checkpoint_writer.CheckpointWriter.from_hooks(
            self.estimator.model_dir,
            spec_hooks,
            self.estimator.config.save_checkpoints_steps,
            iterator,
            record,
        )
        self._checkpoints.listeners.extend(self.saving_listeners)
        self._hooks = [
            hook for hook in [*spec_hooks, *self.hooks] if type(hook).__name__ not in REPLACED_HOOKS
        ]
        self._summaries = summaries.Summaries(self.estimator.model_dir, self.goal)
        self._skipped = skipped_steps.SkippedSteps()
        fetches = {
            "train_op": self._spec.train_op,
            "loss": self._spec.loss,
            "summaries": self._summaries.fetches(),
        }
        self._program = program.Program(fetches, self.estimator.mesh_devices, "the training step")
        self._empty_memory = variable_slices.initializer(carried_state.graph_variables())

    def _build_input(self):
        """Returns the features of a batch, their iterator, and the record of the input."""
        with (
            input_progress.reporting_to(self._reading),
            inputs.python_functions_numbered_from_zero(),
            gin_state.calls_recorded() as calls,
        ):
            features, iterator = inputs.with_iterator(self.input_fn)
        return features, iterator, input_record.describe(self._reading, calls, features)

    def _check_columns(self):
        """Checks that a batch has one row per text column: only then do rows continue."""
        columns, rows = self._reading.columns, self._batch_shape[0]
        carried_rows.check_input(self.estimator.model, columns)
        if columns not in (None, rows):
            raise UsageError(
                f"lm_stream.columns is {columns}, and a batch has {rows} rows (utils.run.batch_size"
                "); they must be equal: set lm_stream.columns = @rows_per_batch()"
            )

    def train(self, stop_request: signals.StopRequest) -> None:
        """Trains until the goal, an early end or a stop request, and saves the reached step."""
        scaffold = self._scaffold()
        resumed = checkpoint_files.step_of(self.latest)
        run_header.print_header(self.estimator, self._batch_shape, resumed, self.goal)
        cost = run_cost.measure(self.estimator, self._batch_shape, self.hosts)
        compiled = self._program.is_compiled
        self._memory = watch.Watch(self.estimator, self._results(), self.hosts, compiled)
        with (
            watch.exhaustion_explained(self.estimator),
            tf.train.SingularMonitoredSession(
                hooks=self._hooks,
                scaffold=scaffold,
                master=session.master(self.hosts),
                config=session.estimator_config(self.estimator),
            ) as monitored,
        ):
            sess = monitored.raw_session()
            self._memory.check(sess)
            self._checkpoints.open(sess)
            if self.latest and self.start:
                if not self._checkpoints.position.restore(sess, self.start):
                    # Other text: what memory has is not before it.
                    sess.run(self._empty_memory)
            else:
                self._checkpoints.start(sess, self.start)
            callbacks.run_start_functions(self.estimator.model_dir)
            with self._waiting_for_save(), self._tracked():
                step = self._train_steps(monitored, sess, stop_request, cost and cost.full_speed)
                self._checkpoints.save(sess, step)
            self._summaries.close()
            self._checkpoints.close()
        self._print_end(step, stop_request)

    def _results(self):
        """Returns the operations that a step runs."""
        fetched = (self._spec.train_op, self._spec.loss)
        return [getattr(result, "op", result) for result in fetched]

    @contextlib.contextmanager
    def _tracked(self):
        with tracker.opened(self.estimator.model_dir, self.start) as tracking:
            self._summaries.tracking = tracking
            self.validation.track(tracking)
            yield

    @contextlib.contextmanager
    def _waiting_for_save(self):
        """Waits for a save that is under way where an error ends the block.

        An error of the save came first, so it is raised in place of the other one; a lost host and
        a second Ctrl-C end the run at once.
        """
        try:
            yield
        except cluster.LOST_HOST_ERRORS:
            raise
        except Exception:
            self._checkpoints.wait()
            raise

    def _scaffold(self):
        """Returns a Scaffold that restores the latest checkpoint, or initializes all variables."""
        function = model_function.of_estimator(self.estimator)
        description = function.description
        if self.latest:
            model_directory.check_description(self.estimator.model_dir, description, training=True)
            checkpoint_files.check_variables(
                self.latest, tf.trainable_variables(), self.estimator.model_dir
            )
            scaffold = scaffolds.resuming(self.latest, self.estimator.settings.get("optimizer"))
        elif self.initial_checkpoint:
            if self._initial is None:  # A model whose forward pass is not built apart.
                shapes = {v.op.name: v.shape.as_list() for v in tf.trainable_variables()}
                self._initial = plan.make(self.initial_checkpoint, shapes, {})
            scaffold = scaffolds.starting(self._initial, description)
        else:
            scaffold = scaffolds.initializing()
        vocabulary = self.estimator.settings.get("vocabulary")
        record = description | vocabulary_copy.save_copy(self.estimator.model_dir, vocabulary)
        record |= variable_roles.describe_graph()
        tokens = trained_tokens.of_batch(self._batch_shape)
        record |= trained_tokens.describe(
            self.estimator.model_dir, self.start, tokens, function.cost
        )
        record |= self._initial_record()
        model_directory.write_record(self.estimator.model_dir, record)
        return scaffold

    def _initial_record(self):
        """Returns the record of the start, which a run keeps when it resumes."""
        if self._initial:
            return self._initial.record(self.estimator.settings["init_checkpoint"])
        key = start_settings.KEY
        before = model_directory.read_record(self.estimator.model_dir) or {}
        return {key: before[key]} if self.latest and key in before else {}

    def _train_steps(self, monitored, sess, stop_request, full_speed):
        """Runs the steps; returns the step that was reached."""
        step = self.start
        tokens = math.prod(self._batch_shape)
        with (
            train_losses.Recorder(self.estimator.model_dir, step) as losses,
            progress.Progress(
                self.start, self.goal, tokens, self._reading, full_speed
            ) as progress_line,
            stop_request.saying(progress_line.say),
        ):
            while step < self.goal and not stop_request.requested and not self._early_end:
                values = self._run_step(monitored, sess, step)
                step += 1
                loss = float(values["loss"])
                losses.add(step, loss, values["summaries"]["scalars"].get("gradient_norm"))
                self._check_loss(loss, step, values["summaries"]["scalars"])
                progress_line.update(step, loss, self._summaries.measures(values["summaries"]))
                self._summaries.write(sess, step, loss, values["summaries"], self._batch_shape[0])
                self._profiled.report(step, self._batch_shape, progress_line.hidden)
                self._checkpoints.poll()
                self._memory.after_step(self._checkpoints.is_saving)
                if self._checkpoints.is_due(step) or self.validation.is_due(step):
                    losses.flush()
                if self._checkpoints.is_due(step):
                    self._checkpoints.start(sess, step)
                if self.validation.is_due(step):
                    self._checkpoints.save(sess, step)
                    with progress_line.hidden():
                        self.validation.evaluate(self._checkpoints.last_path)
                        self._early_end = self.validation.early_end(step)
        return step

    def _run_step(self, monitored, sess, step):
        try:
            return self._profiled.run(
                lambda **trace: self._program.run(
                    functools.partial(monitored.run, **trace), read=sess.run
                )
            )
        except tf.errors.OutOfRangeError as error:
            # A monitored session would end silently on this error.
            raise RunError(
                f"the training data ended after step {step}: they repeat forever unless the split "
                "has no example of this length at all"
            ) from error

    def _check_loss(self, loss, step, scalars):
        """Raises RunError where training cannot go on; a skipped step has spoiled nothing."""
        self._skipped.update(scalars)
        problem = self._skipped.problem(step, loss)
        if not (problem or self._skipped.in_a_row or math.isfinite(loss)):
            problem = f"the loss is {loss} at step {step}"
        if problem:
            self._checkpoints.wait()
            raise RunError(
                f"{problem}; the last good checkpoint is {self._checkpoints.last_path or 'none'}. "
                f"{checkpoint_writer.DIVERGENCE_HINT}"
            )

    def _print_end(self, step, stop_request):
        directory = self.estimator.model_dir
        if self._early_end and step < self.goal:
            model_directory.record_early_end(directory, step)
            console.say(
                f"Stopped early at step {step:,} of {self.goal:,}: {self._early_end.reason}"
            )
        elif stop_request.requested and step < self.goal:
            console.say(
                f"Stopped by {stop_request.name} at step {step} of {self.goal}; saved as "
                f"{self._checkpoints.last_path}. The same command resumes from there."
            )
        else:
            console.say(f"Trained to step {step}; checkpoints are in {directory}.")
        if self._skipped.sentence():
            console.say(self._skipped.sentence())
