"""What changes in Mesh-TensorFlow's `transformer.utils`: the estimator, precision and the run.

t5's main calls `utils.run`, `utils.run` calls `utils.get_estimator`, and that makes a
TPUEstimator around `utils.tpu_estimator_model_fn`. The model function stays Mesh-TF's own. Around
it: without `--tpu` the estimator is ours, `precision` decides data types, a wrong setting ends
the run with one line, and TensorFlow's log goes to a file.
"""

import functools
import inspect
import shlex
import sys
import traceback
import types

import gin
import tensorflow.compat.v1 as tf
from absl import flags

from primer.checkpoints import model_directory, vocabulary_copy
from primer.common import build_mode, console, random_seed
from primer.errors import RunError, UsageError
from primer.gin_config import gin_errors
from primer.gin_config.values import bound, configured
from primer.runtime import (
    batch_size,
    callbacks,
    cluster,
    estimator_evaluation,
    eval_steps,
    mesh,
    package_conflicts,
    precision,
)
from primer.runtime.patches import resource_variables
from primer.runtime.training import step_order, validation

ESTIMATORS = ("local", "tpu_estimator")


@gin.configurable(module="primer")
def estimator(kind="local"):
    """Which estimator runs the model where no TPU is used.

    Args:
        kind: "local", Primer's own, or "tpu_estimator", TensorFlow's TPUEstimator in its CPU and
            GPU form (TensorFlow 2.15.1). `--tpu` implies the latter.

    Returns:
        The kind.

    Raises:
        UsageError: another value.
    """
    if kind not in ESTIMATORS:
        raise UsageError(f"estimator.kind = {kind!r}: expected one of {', '.join(ESTIMATORS)}")
    return kind


def entry_points() -> tuple:
    """The configurables that a run calls itself, without a binding that names them.

    They are registered when this module is imported, before gin files are read.
    """
    return (
        batch_size.rows_per_batch,
        estimator,
        mesh.mesh_shape,
        precision.precision,
        random_seed.run_seed,
        validation.validation,
    )


def patch(utils):
    """Patches `mesh_tensorflow.transformer.utils` after its import."""
    real = utils.tpu_estimator
    utils.tpu_estimator = types.SimpleNamespace(
        TPUEstimator=functools.partial(make_estimator, real.TPUEstimator),
        TPUEstimatorSpec=real.TPUEstimatorSpec,
    )
    utils.tpu_config = types.SimpleNamespace(
        TPUConfig=utils.tpu_config.TPUConfig,
        InputPipelineConfig=utils.tpu_config.InputPipelineConfig,
        RunConfig=_seeded_run_config(utils.tpu_config.RunConfig),
    )
    utils.get_variable_dtype = precision.variable_dtype
    utils.get_estimator = _checked_get_estimator(utils.get_estimator)
    utils.run = _guarded_run(utils.run)
    utils.parse_gin_defaults_and_flags = _parse_own_flags(utils.parse_gin_defaults_and_flags)
    utils.tf = _without_print(utils.tf)
    _define_flags()


def _seeded_run_config(stock):
    """A RunConfig gives the graph's seed, which shuffles and initial values take a part from."""

    @functools.wraps(stock)
    def run_config(**kwargs):
        return stock(tf_random_seed=random_seed.run_seed(), **kwargs)

    return run_config


def make_estimator(tpu_estimator_class, model_fn, use_tpu, **kwargs):
    """Makes the real TPUEstimator or the local one around Mesh-TF's model function."""

    def model_fn_of_mode(features, labels, mode, params, config=None):
        if not use_tpu:
            resource_variables.use_resources()
        with build_mode.building(mode, use_tpu):
            spec = model_fn(features, labels, mode, params, config)
        if mode == "train" and not use_tpu:
            step_order.increment_step_last(spec.train_op)
        return spec

    if use_tpu or estimator() == "tpu_estimator":
        return tpu_estimator_class(model_fn=model_fn_of_mode, use_tpu=bool(use_tpu), **kwargs)
    from primer.runtime import local_estimator

    # Mesh-TF's model function closes over the model that it runs.
    model = inspect.getclosurevars(model_fn).nonlocals["transformer_model"]
    return local_estimator.LocalEstimator(model_fn=model_fn_of_mode, model=model, **kwargs)


def _checked_get_estimator(stock):
    """Checks the mesh first, and lets the estimator know what it was asked for."""

    @functools.wraps(stock)
    def get_estimator(**settings):
        if not settings.get("use_tpu"):
            mesh.check(settings["mesh_shape"], settings.get("mesh_devices"))
        made = stock(**settings)
        made.settings = settings
        return made

    return get_estimator


def _guarded_run(stock):
    """Runs the checks, keeps the log off the terminal, and ends with one line on an error."""

    @functools.wraps(stock)
    def run(*args, **kwargs):
        with one_line_errors():
            mode = configured("utils.run.mode", "train")
            if _served(cluster.of_this_run(), mode):
                return None
            model_dir = kwargs["model_dir"]
            if mode == "train" and bound("utils.run.train_model_fn") is None:
                model_directory.check_trainable(model_dir)
            eval_steps.check(mode, model_dir)
            with vocabulary_copy.use_copy(model_dir, configured("utils.run.vocabulary")):
                callbacks.run_before(mode)
                with console.redirected_to_log(model_dir, mode), estimator_evaluation.kept():
                    result = stock(*args, **kwargs)
                if mode == "perplexity_eval":
                    _say_how_to_score_all(model_dir)
                return result

    return run


def _say_how_to_score_all(model_dir):
    """One line after stock's evaluation, which scores the beginning of a split."""
    batches = configured("utils.run.perplexity_eval_steps", 100)
    words = ["primer", "eval", f"--model_dir={model_dir}"]
    words.append(f"--split={configured('utils.run.dataset_split', 'train')}")
    if bound("utils.run.eval_dataset_fn") is None:
        rows = "training's own rows, for no perplexity_eval.gin was given"
    else:
        rows = "rows as this command's own objective cuts them (as_released)"
    console.say(
        f"Those are {rows}, at most the first {batches} batches; the whole split: "
        f"{shlex.join(words)}"
    )


def guarded_main(stock):
    """t5's main: says what the installation mixes; with `--use_model_api`, the care of `run`."""

    @functools.wraps(stock)
    def main(arguments):
        mixed = package_conflicts.check()
        if mixed:
            console.say(f"primer: {mixed}")
        if not flags.FLAGS.use_model_api:
            return stock(arguments)
        mode = flags.FLAGS.mode or "train"
        with one_line_errors():
            hosts = cluster.from_environment() if mode in ("train", "finetune") else None
            if _served(hosts, mode):
                return None
            with console.redirected_to_log(flags.FLAGS.model_dir, mode):
                return stock(arguments)

    return main


def _served(hosts, mode) -> bool:
    """On a host that is not the chief: serves it to the end and says True; else False at once."""
    if hosts is None or hosts.is_chief:
        return False
    with console.redirected_to_log(None, mode):
        cluster.serve(hosts)
    return True


class one_line_errors:
    """A context that turns UsageError and RunError into their message and their exit code.

    So it does with a ValueError of our layers, which is about their settings.
    """

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for cause in _causes(error):
            if isinstance(cause, tf.errors.DataLossError):
                cause = callbacks.explained(cause) or cause
            if isinstance(cause, (UsageError, RunError)) or _is_of_a_layer(cause):
                # gin adds lines about the configurable that the error came through.
                console.say(f"primer: {str(cause).splitlines()[0]}")
                console.discard_startup()
                sys.exit(getattr(cause, "exit_code", UsageError.exit_code))
        return False


def _is_of_a_layer(error) -> bool:
    """Whether a ValueError was raised by one of our layers, or by a check that it called."""
    if not isinstance(error, ValueError) or error.__traceback__ is None:
        return False
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    names = [frame.f_globals.get("__name__", "") for frame in frames]
    while names[-1:] == ["primer.common.checks"]:
        names.pop()
    return bool(names) and names[-1].startswith("primer.layers")


def _causes(error):
    """The error and what it came from: gin wraps an error raised inside a configurable."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _define_flags():
    """Flags of the engine that t5's main does not have."""
    for define in (
        lambda: flags.DEFINE_integer(
            "seed", None, "Seed of initial values, data order, dropout and jitter."
        ),
        lambda: flags.DEFINE_integer(
            "eval_every", None, "Evaluate on the held-out split every so many steps of training."
        ),
    ):
        try:
            define()
        except flags.DuplicateFlagError:
            pass


def _parse_own_flags(stock):
    """Binds `--seed` and `--eval_every` as if they were the last `--gin_param`s."""

    @functools.wraps(stock)
    def parse_gin_defaults_and_flags(*args, **kwargs):
        own = [
            f"{name} = {value}"
            for name, value in (
                ("run_seed.seed", flags.FLAGS.seed),
                ("validation.every", flags.FLAGS.eval_every),
            )
            if value is not None
        ]
        if own:
            flags.FLAGS.gin_param = list(flags.FLAGS.gin_param or []) + own
        with one_line_errors():
            try:
                stock(*args, **kwargs)
            except (ValueError, SyntaxError) as error:
                raise gin_errors.as_usage_error(error) from error
            gin_errors.check_macro_names(flags.FLAGS.gin_param or [])
            _seed_the_data()

    return parse_gin_defaults_and_flags


def _seed_the_data():
    """Lets the data's order follow from the run's seed, unless a gin file gives it its own."""
    name = "t5.models.mesh_transformer.mesh_train_dataset_fn.seed"
    if configured(name) is None and not gin.config_is_locked():
        gin.parse_config(f"{name} = @primer.run_seed()")


def _without_print(module):
    """TensorFlow as `utils` sees it, without the line that stock prints at every step."""

    class Quiet(types.ModuleType):
        @staticmethod
        def Print(value, *args, **kwargs):
            del args, kwargs
            return value

        def __getattr__(self, name):
            return getattr(module, name)

    return Quiet(tf.__name__)
