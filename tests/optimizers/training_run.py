"""Trains a tiny model for a few steps with files of gin/optimizers/ and gin/schedules/.

The run goes through `utils.run` and the local estimator, without an input pipeline and without
checkpoints; every step has the same batch.
"""

import dataclasses

import tensorflow.compat.v1 as tf

from primer.checkpoints.description import variable_roles
from primer.gin_config import config_files, statements
from tests import gin_models, recorded_runs

STEPS = 6
# One block with matrices, tables, biases and scales of norms.
MODEL = gin_models.files("transformer")
SETTINGS = f"""
utils.run.sequence_length = {{"inputs": 1, "targets": {recorded_runs.LENGTH}}}
utils.run.batch_size = {recorded_runs.ROWS}
utils.run.train_steps = {STEPS}
precision.activation_dtype = "float32"
run_seed.seed = 1
num_layers = 1
attention_biases = "all"
"""

# What training does around any optimizer, each setting with a value that a few steps show.
WRAPPERS = {
    "average_decay": 0.99,
    "accumulate_steps": 2,
    "skip_outliers": 6.0,
}
_DECLARED = statements.declared_slots(config_files.gin_directory())
WRAPPED = [f"{name} = {value}" for name, value in WRAPPERS.items() if name in _DECLARED]


@dataclasses.dataclass
class Trained:
    """What a run leaves.

    Attributes:
        losses: the loss of each step, before its update.
        events: {tag: its value at each step}, as TensorBoard gets them.
        roles: the names of the weights and of the optimizer's variables, as `primer.json` has them.
        schedule: the learning rate as a function of the step, or a number, as `utils.run` has it.
    """

    losses: list
    events: dict
    roles: dict
    schedule: object


def train(model_dir, files, bindings=(), steps=STEPS):
    """Trains the model with further gin files and bindings."""
    estimator = recorded_runs.estimator_of([*MODEL, *files], [SETTINGS, *bindings], model_dir)
    batch = next(recorded_runs.batches())
    with tf.Graph().as_default():
        spec, feeds = recorded_runs.training_graph(estimator)
        feed = {feeds[name]: value for name, value in batch.items()}
        roles = variable_roles.describe_graph()[variable_roles.KEY]
        # A schedule that is a number has no summary.
        summaries = tf.summary.merge_all()
        text = tf.constant(b"") if summaries is None else summaries
        losses, events = [], {}
        with recorded_runs.training_session(spec) as session:
            for _ in range(steps):
                loss, summary, _ = session.run([spec.loss, text, spec.train_op], feed)
                losses.append(float(loss))
                for value in tf.Summary.FromString(summary).value:
                    events.setdefault(value.tag, []).append(value.simple_value)
    return Trained(losses, events, roles, estimator.settings["learning_rate_schedule"])


def rates(schedule, steps):
    """Returns the rates of a schedule at some steps, from a graph that has nothing else."""
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        rate = tf.convert_to_tensor(schedule(step=step))
        return [float(session.run(rate, {step: number})) for number in steps]
