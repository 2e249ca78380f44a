"""An estimator for machines without a TPU, on every TensorFlow that Primer supports.

Mesh-TensorFlow asks for a TPUEstimator, which TensorFlow dropped in 2.16. This one has the methods
that t5 and Mesh-TensorFlow call, runs Mesh-TF's own model function in a Session, and writes the
Estimator's files: `model.ckpt-N.*`, `checkpoint`, `graph.pbtxt`, event files with its tags.
"""

import contextlib
import itertools
import os

import numpy as np
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, model_description, model_directory
from primer.common import build_mode, console, random_seed
from primer.errors import RunError, UsageError
from primer.runtime import estimator_evaluation, export, inputs, session
from primer.runtime.training import loop

PREDICT = "infer"


class LocalEstimator:
    """Trains, evaluates, predicts with and exports one Mesh-TF model.

    Args:
        model_fn: Mesh-TF's model function: (features, labels, mode, params, config) -> a spec.
        config: a RunConfig; its model_dir, save_checkpoints_steps and session_config are used.
        model: the Mesh-TF model that the function runs, for what is said and recorded of it.
        train_batch_size, eval_batch_size, predict_batch_size: examples per step (the data sets come
            batched, so these are for messages and for examples/sec).
        params: passed on to the model function.
        export_to_tpu: accepted for the Estimator's signature; nothing is exported to a TPU.
    """

    def __init__(
        self,
        model_fn,
        config,
        model=None,
        train_batch_size=None,
        eval_batch_size=None,
        predict_batch_size=None,
        params=None,
        export_to_tpu=False,
    ):
        del export_to_tpu, eval_batch_size, predict_batch_size
        self._model_fn = model_fn
        self._params = params or {}
        self._batch_size = train_batch_size
        self.model = model
        self.config = config
        self.settings = {}  # What utils.get_estimator was called with.

    @property
    def model_dir(self) -> str:
        """The directory of checkpoints and events."""
        return self.config.model_dir

    def latest_checkpoint(self):
        """The path of the newest checkpoint of `model_dir`, or None.

        Where the one that the file `checkpoint` names is gone, the newest whole one.
        """
        return checkpoint_files.latest_checkpoint(self.model_dir)

    def get_variable_value(self, name):
        """The value of a variable in the newest checkpoint, as a numpy array."""
        return checkpoint_files.open_reader(self._checkpoint(None)).get_tensor(name)

    def get_variable_names(self):
        """The names of the variables in the newest checkpoint."""
        return list(
            checkpoint_files.open_reader(self._checkpoint(None)).get_variable_to_shape_map()
        )

    def train(self, input_fn, hooks=(), steps=None, max_steps=None, saving_listeners=()):
        """Trains until the global step is `max_steps`, or for `steps` more; returns self.

        Raises:
            UsageError: the directory is in use, or holds another architecture or vocabulary.
            RunError: the loss became NaN or infinite, or a checkpoint cannot be read.
        """
        loop.train(self, input_fn, steps, max_steps, hooks=hooks, listeners=saving_listeners)
        return self

    def evaluate(self, input_fn, steps=None, hooks=(), checkpoint_path=None, name=None):
        """The metrics of the spec over `steps` batches (or all), also as events in `eval_<name>`.

        Returns:
            dict: the metrics, "loss" (the mean of the batches' losses) and "global_step".
        """
        path = self._checkpoint(checkpoint_path)
        with estimator_evaluation.evaluations(self) as evaluations:
            result = evaluations.run(input_fn, steps, path, hooks)
        result["global_step"] = checkpoint_files.step_of(path)
        self._write_metrics(result, name)
        return result

    def predict(self, input_fn, hooks=(), checkpoint_path=None, yield_single_examples=True):
        """Yields the predictions of the spec, example by example, as dicts of numpy values."""
        path = self._checkpoint(checkpoint_path)
        with tf.Graph().as_default():
            batch_number = tf.placeholder_with_default(np.int64(0), [], name="batch_number")
            random_seed.set_step_key(batch_number)
            spec = self.call_model(inputs.features(input_fn), PREDICT)
            scaffold = spec.scaffold_fn() if spec.scaffold_fn else None
            all_hooks = [*spec.prediction_hooks, *hooks]
            with session.restored(self, path, all_hooks, scaffold) as sess:
                for batch in _batches(sess, spec.predictions, batch_number):
                    if yield_single_examples:
                        yield from _examples(batch)
                    else:
                        yield batch

    def export_saved_model(self, export_dir_base, serving_input_receiver_fn, checkpoint_path=None):
        """Writes a SavedModel of the spec's predictions; returns its directory."""
        path = self._checkpoint(checkpoint_path)
        return export.saved_model(self, export_dir_base, serving_input_receiver_fn, path)

    def call_model(self, features, mode):
        """Builds Mesh-TF's model in the default graph, with the seed's initial values."""
        tf.set_random_seed(random_seed.run_seed())
        tf.train.get_or_create_global_step()
        spec = self._model_fn(features, None, mode, self._params, self.config)
        build_mode.say_caveats()
        return spec

    def _checkpoint(self, path):
        found = path or self.latest_checkpoint()
        if not found:
            raise UsageError(f"model_dir = {self.model_dir!r} has no checkpoint: train first")
        if not checkpoint_files.is_whole(found):
            raise RunError(
                f"the checkpoint {found} is incomplete or damaged: name another step with "
                "utils.run.eval_checkpoint_step"
            )
        if self.settings:
            model_directory.check_description(
                os.path.dirname(found), model_description.describe_estimator(self)
            )
        return found

    def _write_metrics(self, result, name):
        """Events in `eval` or `eval_<name>`, as the Estimator writes them."""
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


def _batches(sess, fetches, batch_number):
    """Runs the fetches until the data end."""
    for number in itertools.count():
        try:
            yield sess.run(fetches, {batch_number: number})
        except tf.errors.OutOfRangeError:
            return


def _examples(batch):
    sizes = {key: len(value) for key, value in batch.items()}
    for index in range(min(sizes.values())):
        yield {key: value[index] for key, value in batch.items()}
