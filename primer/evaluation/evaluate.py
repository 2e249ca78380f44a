"""Evaluates checkpoints of a run on a whole split: the engine's part of `primer eval`.

t5's main calls `utils.run`, which calls `train_model_fn` with the estimator that it made.
`gin/run/evaluate.gin` binds that to `evaluate_checkpoints`, so the model, the mesh and the task
come from the same settings as in training.
"""

import functools
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import gin
import seqio

from primer.checkpoints import model_directory, selection, vocabulary_size, watcher
from primer.common.settings import evaluation_settings
from primer.data import preflight, text_stamps
from primer.errors import UsageError
from primer.evaluation import as_released as released
from primer.evaluation import keep_best, protocols, report, sharing
from primer.evaluation.checkpoint_evaluator import CheckpointEvaluator
from primer.evaluation.memory import reach
from primer.evaluation.results import Results
from primer.evaluation.scorer import Scorer
from primer.evaluation.scoring_graph import outer_batch_size
from primer.evaluation.windows import batch_rows
from primer.gin_config.values import configured
from primer.runtime import cluster, model_function, precision
from primer.runtime.estimator_model import length_of, model_of, task_name


@gin.configurable(module="primer")
def evaluate_checkpoints(
    estimator: Any,
    *training_arguments: Any,
    split: str = "validation",
    checkpoints: str | int | list[int] = "all",
    batch_size: int | None = None,
    follow: bool = False,
    timeout: float | None = None,
    again: bool = False,
    keep_the_best: bool = False,
    order_by: str = "step",
    activation_dtype: str = report.FLOAT32,
    **training_settings: Any,
) -> None:
    """Evaluates checkpoints on a whole split; prints a table, writes JSON lines, TSV and events.

    Args:
        estimator: a LocalEstimator, for its model, mesh, task and directory.
        split: the split of the task.
        checkpoints: "all", "latest", "best", or steps as in "1000,2000".
        batch_size: windows per batch; it changes the speed and not the numbers.
        follow: whether to wait for new checkpoints until the run's last step.
        timeout: with follow, seconds without a new checkpoint after which the waiting ends.
        again: whether to score checkpoints whose result is known.
        keep_the_best: whether to copy the best of them to model_dir/best.
        order_by: the order of the printed rows, one of `report.ORDERS`.
        activation_dtype: that of the model, "float32" or "bfloat16"; results of bfloat16 say so.
        training_arguments, training_settings: the trainer's arguments; unused.

    Raises:
        UsageError: there is nothing to evaluate, the model is not that of the directory, or
            `order_by` or `activation_dtype` is unknown.
        RunError: a checkpoint was damaged; the others have been evaluated.
    """
    del training_arguments, training_settings
    evaluation_settings.check_order(order_by)
    precision.of_activations("evaluate_checkpoints.activation_dtype", activation_dtype)
    model_dir = str(estimator.model_dir)
    paths = selection.select_checkpoints(model_dir, checkpoints, may_be_none=follow)
    if keep_the_best:
        paths = keep_best.kept_first(model_dir, paths)
    model = model_of(estimator)
    not_as_trained = model_function.check(model_dir, model_function.of_estimator(estimator))
    if keep_the_best:
        keep_best.check_function(not_as_trained, activation_dtype)
    vocabulary_size.check_embedding_size(model, paths)
    evaluator = make_evaluator(
        estimator,
        split,
        rows=batch_size,
        again=again,
        not_as_trained="; ".join(not_as_trained),
        activation_dtype=activation_dtype,
    )
    found: Iterable[str] = paths
    if follow:
        found = watcher.watch_checkpoints(model_dir, paths, _last_step(), timeout)
    best = keep_best.BestCheckpointKeeper(model_dir) if keep_the_best else None
    try:
        for path in found:
            row = evaluator.evaluate(path)
            if best and row:
                best.consider(path, row)
    finally:
        evaluator.close()
    evaluator.print_rows(with_earlier=follow, order_by=order_by)


def make_evaluator(
    estimator: Any,
    split: str,
    open_scorer: Callable[[], AbstractContextManager[Scorer]] | None = None,
    rows: int | None = None,
    again: bool = False,
    announce: bool = True,
    not_as_trained: str = "",
    activation_dtype: str = report.FLOAT32,
) -> CheckpointEvaluator:
    """Reads a split and returns an evaluator of the configured task and protocol.

    Args:
        estimator: a LocalEstimator.
        split: the split of the task.
        open_scorer: as for `CheckpointEvaluator`; None for a scorer that directories share.
        rows: windows per batch, or None for those that fit the number of windows.
        again, announce, not_as_trained: as for `CheckpointEvaluator`.
        activation_dtype: as for `Scorer`.
    """
    model_dir = str(estimator.model_dir)
    task, length = task_name(), length_of(estimator)
    protocol = protocols.configured_protocol()
    protocol.check_stride(length)
    is_masked = configured("utils.run.model_type") == "aligned"
    protocol.check_model(is_masked, has_memory=reach.of_model(model_of(estimator)) is not None)
    configuration = configuration_of(estimator, rows, activation_dtype)
    trained_on = os.path.join(model_dir, model_directory.TEXTS)
    text_stamps.say_doubts(trained_on, seqio.get_subtasks(preflight.find_task(task)))
    text = sharing.shared_split(protocol, task, split, length)
    if open_scorer is None:
        rows = rows or _fitting_rows(estimator, protocol, text)
        open_scorer = functools.partial(
            _open_scorer, estimator, rows, configuration, activation_dtype
        )
    identity = {
        **{"model_dir": model_dir, "task": task, "split": split},
        **{"window": window_of(estimator), "configuration": configuration},
        report.ACTIVATION_DTYPE: activation_dtype,
        **cost_of(estimator),
    }
    return CheckpointEvaluator(
        protocol,
        text,
        identity,
        read_results(model_dir, split),
        open_scorer,
        again,
        announce,
        not_as_trained,
    )


def window_of(estimator: Any) -> int:
    """Returns the tokens of a window of the configured protocol, which each row names."""
    memory = reach.of_model(model_of(estimator))
    return protocols.configured_protocol().window(length_of(estimator), memory)


def cost_of(estimator: Any) -> dict[str, Any]:
    """Returns the parameters and FLOPs per token of an estimator's model, for each row."""
    cost = model_function.of_estimator(estimator).cost
    return cost.as_result() if cost else {}


def read_results(model_dir: str, split: str) -> Results:
    """Returns the results of the configured task and protocol in a model directory."""
    label = protocols.configured_protocol().label
    return Results(model_dir, f"{task_name()}_{split}_{label}")


def configuration_of(
    estimator: Any, rows: int | None = None, activation_dtype: str = report.FLOAT32
) -> str:
    """Returns the fingerprint of the function that an evaluation measures, for its rows.

    It has the batch where numbers depend on it: as released, and with experts that choose tokens;
    and the type of activations that are not float32. The arguments are those of `make_evaluator`.

    Raises:
        UsageError: the model cannot be evaluated here, or the mesh does not divide the rows.
    """
    function = model_function.of_estimator(estimator)
    length, rows, mesh_shape, layout, _, as_released, *_ = _scorer_arguments(estimator, rows)
    more: dict[str, Any] = {}
    if activation_dtype != report.FLOAT32:
        more[report.ACTIVATION_DTYPE] = activation_dtype
    if as_released or function.caveats:
        batch = [batch_rows.rows_of_batch(rows, length, mesh_shape, layout), outer_batch_size()]
        more |= {"batch": batch, "splits": function.splits}
    return function.fingerprint(**more)


def _fitting_rows(estimator, protocol, text):
    """The rows of batches that pad the last one least; None where numbers depend on the rows."""
    length, _, mesh_shape, layout, _, as_released, *_ = _scorer_arguments(estimator, None)
    memory = reach.of_model(model_of(estimator))
    in_columns = protocol.name == protocols.TRANSFORMER_XL
    if as_released or in_columns or memory or model_function.of_estimator(estimator).caveats:
        return None
    windows = protocol.cut(text, length).num_rows
    return batch_rows.rows_for(windows, length, mesh_shape, layout) if windows else None


def _last_step():
    """The step at which the run ends (utils.run.train_steps), or None."""
    steps = configured("utils.run.train_steps")
    return steps if isinstance(steps, int) else None


def _open_scorer(estimator, rows, configuration, activation_dtype=report.FLOAT32):
    """A context with the scorer of an estimator, shared with the last directory if it is equal."""
    model, arguments = model_of(estimator), _scorer_arguments(estimator, rows)
    shapes = model_function.of_estimator(estimator).shapes
    size = getattr(model, "output_vocab_size_unpadded", None)
    key = (configuration, shapes, size, outer_batch_size(), arguments)
    make = functools.partial(
        Scorer, model, *arguments, activation_dtype=activation_dtype, router_statistics=True
    )
    return sharing.shared_scorer(make, repr(key))


def make_scorer(estimator: Any, rows: int | None = None) -> Scorer:
    """Returns a scorer with the model and mesh of an estimator, for the configured protocol.

    Args:
        estimator: a LocalEstimator.
        rows: windows per batch, or None for the scorer's own number.
    """
    return Scorer(model_of(estimator), *_scorer_arguments(estimator, rows))


def _scorer_arguments(estimator, rows):
    """The arguments of `Scorer` after the model."""
    settings = estimator.settings
    if settings.get("use_tpu"):
        raise UsageError(
            "whole splits are evaluated on this machine's own devices: leave out --tpu, and "
            "--eval_every with it"
        )
    protocol = protocols.configured_protocol()
    as_released = protocol.name == protocols.AS_RELEASED
    if as_released:
        rows = released.rows_per_batch(rows)
    mesh = (settings["mesh_shape"], settings["layout_rules"], settings.get("mesh_devices"))
    if cluster.of_this_run():  # While several hosts train, the chief validates on its own.
        mesh = ("", "", None)
    length = protocol.row_length(length_of(estimator), reach.of_model(model_of(estimator)))
    kinds = [protocol.name == name for name in (protocols.MASKED, protocols.TRANSFORMER_XL)]
    return length, rows, *mesh, as_released, *kinds, protocol.ext_len or 0
