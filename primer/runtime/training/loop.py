"""The training loop: Mesh-TF's train operation, checkpoints, events, validation, a clean end."""

import dataclasses
import math

import tensorflow.compat.v1 as tf

from primer.checkpoints import (
    checkpoint_files,
    directory_lock,
    model_description,
    model_directory,
    variable_roles,
    vocabulary_copy,
)
from primer.common import console, gc_pause, input_progress, random_seed
from primer.errors import RunError, UsageError
from primer.runtime import callbacks, cluster, inputs, session
from primer.runtime.training import (
    checkpoint_writer,
    progress,
    run_header,
    signals,
    summaries,
    validation,
)

# Hooks of Mesh-TF and t5 whose work this loop does itself.
REPLACED_HOOKS = ("CheckpointSaverHook", "CheckpointInputPipelineHook")


def train(estimator, input_fn, steps=None, max_steps=None, hooks=(), listeners=()):
    """Trains a LocalEstimator's model to the step `max_steps`, or for `steps` more."""
    model_directory.check_trainable(estimator.model_dir)
    with directory_lock.held(estimator.model_dir):
        # Not before: until the directory is ours, another run may add checkpoints.
        start = checkpoint_files.step_of(estimator.latest_checkpoint())
        goal = max_steps if max_steps is not None else start + (steps or 1)
        if start >= goal:
            console.say(
                f"{estimator.model_dir} is at step {start} already, and utils.run.train_steps = "
                f"{goal}: nothing to do"
            )
            return
        with tf.Graph().as_default(), signals.on_signals() as stop:
            with session.on_chief(), cluster.watched(cluster.from_environment()):
                _Run(estimator, input_fn, start, goal, hooks, listeners).to_the_end(stop)
    if stop.signal:
        raise SystemExit(128 + stop.signal)


@dataclasses.dataclass
class _Run:
    """One run of training in the default graph."""

    estimator: object
    input_fn: object
    start: int
    goal: int
    hooks: tuple
    listeners: tuple

    def __post_init__(self):
        with gc_pause.paused():
            self._build()

    def _build(self):
        # Before the input pipeline, whose shuffles take part of their seed from the graph.
        tf.set_random_seed(random_seed.run_seed())
        random_seed.set_step_key(tf.train.get_or_create_global_step())
        self._reading = input_progress.InputProgress(console.say)
        with input_progress.reporting_to(self._reading):
            features = inputs.features(self.input_fn)
        self._batch_shape = [int(size) for size in features["targets"].shape]
        self._check_columns()
        self._spec = self.estimator.call_model(features, "train")
        spec_hooks = [*self._spec.training_chief_hooks, *self._spec.training_hooks]
        self._saver = checkpoint_writer.Saver.from_hooks(
            self.estimator.model_dir, spec_hooks, self.estimator.config.save_checkpoints_steps
        )
        self._saver.listeners.extend(self.listeners)
        self._hooks = [
            hook for hook in [*spec_hooks, *self.hooks] if type(hook).__name__ not in REPLACED_HOOKS
        ]
        self._summaries = summaries.Summaries(self.estimator.model_dir, self.goal)
        self._validation = validation.Validation(self.estimator, self._saver)

    def _check_columns(self):
        """Rows go on in the next batch only where a batch has as many as there are columns."""
        columns, rows = self._reading.columns, self._batch_shape[0]
        if columns not in (None, rows):
            raise UsageError(
                f"lm_stream.columns is {columns}, and a batch has {rows} rows (utils.run.batch_size"
                "); they must be equal, as lm_stream.columns = @rows_per_batch() makes them"
            )

    def to_the_end(self, stop):
        """Opens the session, steps, and saves the step that was reached at the end or a signal."""
        scaffold = self._scaffold()
        run_header.start(self.estimator, self._batch_shape, self.start, self.goal)
        with tf.train.SingularMonitoredSession(
            hooks=self._hooks,
            scaffold=scaffold,
            master=session.master(),
            config=session.config(self.estimator),
        ) as monitored:
            sess = monitored.raw_session()
            self._saver.open(sess)
            if self.start:
                self._saver.restore_input_position(sess, self.start)
            else:
                self._saver.save(sess, 0)
            callbacks.run_at_start(self.estimator.model_dir)
            step = self._loop(monitored, sess, stop)
            if self._saver.last_step != step:
                self._saver.save(sess, step)
            self._summaries.close()
            self._saver.close()
        self._say_the_end(step, stop)

    def _scaffold(self):
        """Restores the latest checkpoint, or gives every variable its initial value."""
        latest = self.estimator.latest_checkpoint()
        description = model_description.describe_estimator(self.estimator)
        if latest:
            model_directory.check_description(self.estimator.model_dir, description)
        vocabulary = self.estimator.settings.get("vocabulary")
        description |= vocabulary_copy.save_copy(self.estimator.model_dir, vocabulary)
        description |= variable_roles.describe_graph()
        model_directory.write_record(self.estimator.model_dir, description)
        if not latest:
            return tf.train.Scaffold()
        checkpoint_files.check_variables(latest, tf.trainable_variables(), self.estimator.model_dir)
        # An original checkpoint may lack what only training adds (optimizer slots of another name).
        restore = checkpoint_files.Restore(tf.global_variables(), optional=tf.global_variables())

        def init_fn(scaffold, sess):
            del scaffold
            restore(sess, latest)

        return tf.train.Scaffold(init_op=tf.no_op(), init_fn=init_fn)

    def _loop(self, monitored, sess, stop):
        step = self.start
        tokens = math.prod(self._batch_shape)
        fetches = {
            "train_op": self._spec.train_op,
            "loss": self._spec.loss,
            "summaries": self._summaries.fetches(),
        }
        with progress.Progress(self.start, self.goal, tokens, self._reading) as shown:
            while step < self.goal and not stop.requested:
                values = self._next(monitored, fetches, step)
                step += 1
                loss = float(values["loss"])
                self._check_loss(loss, step)
                shown.update(step, loss)
                self._summaries.write(sess, step, loss, values["summaries"], self._batch_shape[0])
                if self._saver.is_due(step):
                    self._saver.save(sess, step)
                self._validation.after_step(sess, step, shown, last=step == self.goal)
        return step

    def _next(self, monitored, fetches, step):
        try:
            return monitored.run(fetches)
        except tf.errors.OutOfRangeError as error:
            # A monitored session takes this for a normal end.
            raise RunError(
                f"the training data ended after step {step}: they repeat for ever unless the split "
                "has no example of this length at all"
            ) from error

    def _check_loss(self, loss, step):
        if math.isfinite(loss):
            return
        raise RunError(
            f"the loss is {loss} at step {step}; the last good checkpoint is "
            f"{self._saver.last_path or 'none'}. {checkpoint_writer.TRY}"
        )

    def _say_the_end(self, step, stop):
        directory = self.estimator.model_dir
        if stop.requested and step < self.goal:
            console.say(
                f"Stopped by {stop.name} at step {step} of {self.goal}; saved as "
                f"{self._saver.last_path}. The same command goes on from there."
            )
        else:
            console.say(f"Trained to step {step}; checkpoints are in {directory}.")
