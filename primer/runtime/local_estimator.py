"""An estimator for machines without a TPU, on every TensorFlow that Primer supports.

Mesh-TensorFlow needs a TPUEstimator, which TensorFlow dropped in 2.16. This one has the methods
that t5 and Mesh-TensorFlow call, runs Mesh-TF's own model function in a Session, and writes the
Estimator's files: `model.ckpt-N.*`, `checkpoint`, `graph.pbtxt`, event files with its tags.
"""

import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files
from primer.common import build_mode, console, random_seed
from primer.errors import RunError, UsageError
from primer.runtime import (
    estimator_evaluation,
    estimator_model,
    export,
    inputs,
    model_function,
    session,
)
from primer.runtime.compilation import program, setting
from primer.runtime.training import loop

PREDICT = "infer"


class LocalEstimator:
    """Trains, evaluates, predicts with and exports one Mesh-TF model.

    Attributes:
        model: the Mesh-TF model.
        config: the RunConfig.
        settings: the arguments of the `utils.get_estimator` call that made the estimator.
    """

    def __init__(
        self,
        model_fn: Callable,
        config: Any,
        model: Any = None,
        train_batch_size: int | None = None,
        eval_batch_size: int | None = None,
        predict_batch_size: int | None = None,
        params: dict | None = None,
        export_to_tpu: bool = False,
    ) -> None:
        """Stores the model function; graphs are built by the methods.

        Args:
            model_fn: Mesh-TF's model function: (features, labels, mode, params, config) -> a spec.
            config: a RunConfig; model_dir, save_checkpoints_steps and session_config are used.
            model: the Mesh-TF model that the function builds, for messages and records.
            train_batch_size, eval_batch_size, predict_batch_size: accepted for the TPUEstimator's
                signature; the data sets are already batched.
            params: passed to the model function.
            export_to_tpu: accepted for the TPUEstimator's signature.
        """
        del export_to_tpu, train_batch_size, eval_batch_size, predict_batch_size
        self._model_fn = model_fn
        self._params = params or {}
        self._evaluations: estimator_evaluation.Evaluations | None = None
        self.model = model
        self.config = config
        self.settings: dict[str, Any] = {}

    @functools.cached_property
    def function(self) -> model_function.ModelFunction:
        """What decides the function of the model; gin's settings do not change in a run."""
        length = estimator_model.length_of(self)
        return model_function.of_model(self.model, self.settings.get("vocabulary"), length)

    @property
    def model_dir(self) -> str:
        """The directory of checkpoints and events."""
        return self.config.model_dir

    @property
    def mesh_devices(self) -> list[str] | None:
        """The devices of the mesh, or None for one device without a name."""
        return self.settings.get("mesh_devices")

    def latest_checkpoint(self) -> str | None:
        """Returns the path of the newest checkpoint of `model_dir`, or None.

        If the checkpoint that the file `checkpoint` names is missing, it is the newest complete
        one.
        """
        return checkpoint_files.latest_checkpoint(self.model_dir)

    def get_variable_value(self, name: str) -> np.ndarray:
        """Returns the value of a variable in the newest checkpoint."""
        return checkpoint_files.open_reader(self._checkpoint(None)).get_tensor(name)

    def get_variable_names(self) -> list[str]:
        """Returns the names of the variables in the newest checkpoint."""
        return list(
            checkpoint_files.open_reader(self._checkpoint(None)).get_variable_to_shape_map()
        )

    def train(
        self,
        input_fn: Callable,
        hooks: Sequence[tf.train.SessionRunHook] = (),
        steps: int | None = None,
        max_steps: int | None = None,
        saving_listeners: Sequence[tf.train.CheckpointSaverListener] = (),
    ) -> "LocalEstimator":
        """Trains until the global step is `max_steps`, or for `steps` more; returns self.

        Raises:
            UsageError: the directory is in use, or holds another architecture or vocabulary.
            RunError: the loss became NaN or infinite, or a checkpoint cannot be read.
        """
        loop.train_estimator(self, input_fn, steps, max_steps, hooks, saving_listeners)
        return self

    def evaluate(
        self,
        input_fn: Callable,
        steps: int | None = None,
        hooks: Sequence[tf.train.SessionRunHook] = (),
        checkpoint_path: str | None = None,
        name: str | None = None,
    ) -> dict[str, Any]:
        """Evaluates a checkpoint and writes the metrics as events to `eval_<name>`.

        Args:
            input_fn: a function of `params` that returns a data set.
            steps: the number of batches, or None for all.
            hooks: further hooks of the session.
            checkpoint_path: the checkpoint, or None for the newest.
            name: the suffix of the directory of the events.

        Returns:
            The spec's metrics, "loss" (the mean of the batches' losses) and "global_step".
        """
        path = self._checkpoint(checkpoint_path)
        with self._open_evaluations() as evaluations:
            result = evaluations.run(input_fn, steps, path, hooks)
        result["global_step"] = checkpoint_files.step_of(path)
        self._write_metrics(result, name)
        return result

    @contextlib.contextmanager
    def cached_evaluations(self) -> Iterator[None]:
        """Inside the block, `evaluate` reuses graphs, sessions and batches of earlier calls."""
        with contextlib.closing(estimator_evaluation.Evaluations(self)) as self._evaluations:
            try:
                yield
            finally:
                self._evaluations = None

    def _open_evaluations(self):
        """Returns a context of the cached evaluations, or of new ones that it closes."""
        if self._evaluations is not None:
            return contextlib.nullcontext(self._evaluations)
        return contextlib.closing(estimator_evaluation.Evaluations(self))

    def predict(
        self,
        input_fn: Callable,
        hooks: Sequence[tf.train.SessionRunHook] = (),
        checkpoint_path: str | None = None,
        yield_single_examples: bool = True,
    ) -> Iterator[dict[str, Any]]:
        """Yields the spec's predictions as dicts of numpy values.

        Args:
            input_fn: a function of `params` that returns a data set or tensors.
            hooks: further hooks of the session.
            checkpoint_path: the checkpoint, or None for the newest.
            yield_single_examples: whether to yield one example at a time, not one batch.
        """
        path = self._checkpoint(checkpoint_path)
        with tf.Graph().as_default():
            batch_number = tf.placeholder_with_default(np.int64(0), [], name="batch_number")
            random_seed.set_step_key(batch_number)
            spec = self.call_model(inputs.features(input_fn), PREDICT)
            scaffold = spec.scaffold_fn() if spec.scaffold_fn else None
            predictions = program.Program(spec.predictions, self.mesh_devices, "the prediction")
            all_hooks = [*spec.prediction_hooks, *hooks]
            with session.restored(self, path, all_hooks, scaffold) as sess:
                for batch in _run_batches(sess, predictions, batch_number):
                    if yield_single_examples:
                        yield from _examples(batch)
                    else:
                        yield batch

    def export_saved_model(
        self,
        export_dir_base: str,
        serving_input_receiver_fn: Callable,
        checkpoint_path: str | None = None,
    ) -> str:
        """Writes a SavedModel of the spec's predictions; returns its directory."""
        path = self._checkpoint(checkpoint_path)
        return export.write_saved_model(self, export_dir_base, serving_input_receiver_fn, path)

    def call_model(self, features: dict[str, tf.Tensor], mode: str) -> Any:
        """Builds Mesh-TF's model in the default graph.

        Args:
            features: the tensors of a batch, by name.
            mode: "train", "eval" or "infer".

        Returns:
            The spec of the model function.
        """
        tf.set_random_seed(random_seed.run_seed())
        tf.train.get_or_create_global_step()
        with build_mode.compiling(setting.is_on(self.mesh_devices)):
            spec = self._model_fn(features, None, mode, self._params, self.config)
        build_mode.say_caveats()
        return spec

    def _checkpoint(self, path):
        """Returns `path`, or the newest checkpoint, after checking that it fits the model."""
        found = path or self.latest_checkpoint()
        if not found:
            raise UsageError(f"model_dir = {self.model_dir!r} has no checkpoint: train first")
        if not checkpoint_files.is_whole(found):
            raise RunError(
                f"the checkpoint {found} is incomplete or damaged: name another step with "
                "utils.run.eval_checkpoint_step"
            )
        if self.settings:
            model_function.check(os.path.dirname(found), self.function)
        return found

    def _write_metrics(self, result, name):
        """Writes events to `eval` or `eval_<name>` with the Estimator's tags; prints a line."""
        directory = os.path.join(self.model_dir, "eval" if not name else f"eval_{name}")
        with contextlib.closing(session.event_writer(directory)) as writer:
            summary = tf.Summary()
            for key, value in result.items():
                if key != "global_step":
                    summary.value.add(tag=key, simple_value=float(value))
            writer.add_summary(summary, result["global_step"])
        tf.logging.info("evaluation %s: %s", name, result)
        nats = -float(result.get("neg_log_perplexity", np.nan))
        line = f"step {result['global_step']:,}  {name}  {nats:.4f} nats per token"
        if "num_eval_tokens" in result:
            line += f" over {int(result['num_eval_tokens']):,} tokens"
        console.say(line)


def _run_batches(sess, predictions, batch_number):
    """Yields the values of the predictions for each batch, until the data end."""
    for number in itertools.count():
        try:
            yield predictions.run(sess.run, {batch_number: number})
        except tf.errors.OutOfRangeError:
            return


def _examples(batch):
    """Yields the examples of a batch as dicts."""
    sizes = {key: len(value) for key, value in batch.items()}
    for index in range(min(sizes.values())):
        yield {key: value[index] for key, value in batch.items()}
