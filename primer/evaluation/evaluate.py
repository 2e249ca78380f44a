"""Checkpoints of a run on a whole split: what `primer eval` asks of the engine.

t5's main calls `utils.run`, and that calls `train_model_fn` with the estimator it has made. With
`gin/run/evaluate.gin` this function takes the trainer's place, so that the model, the mesh and the
task come from the very settings that training had.
"""

import functools

import gin

from primer.checkpoints import model_directory, selection, vocabulary_size, watcher
from primer.common import console
from primer.errors import RunError, UsageError
from primer.evaluation import as_released as released
from primer.evaluation import keep_best, protocols, report, sharing
from primer.evaluation.checkpoint_evaluator import CheckpointRows
from primer.evaluation.results import Results
from primer.evaluation.scorer import Scorer
from primer.gin_config.values import configured
from primer.runtime import cluster
from primer.runtime.estimator_model import length_of, model_of, task_name


@gin.configurable(module="primer")
def evaluate_checkpoints(
    estimator,
    *training_arguments,
    split="validation",
    checkpoints="all",
    batch_size=None,
    follow=False,
    timeout=None,
    again=False,
    keep_the_best=False,
    **training_settings,
):
    """Evaluates checkpoints on a whole split; prints a table, writes JSON lines, TSV and events.

    Args:
        estimator: a LocalEstimator, for its model, mesh, task and directory.
        split: the split of the task.
        checkpoints: "all", "latest", "best", or steps as in "1000,2000".
        batch_size: windows per batch; it changes the speed and not the numbers.
        follow: whether to wait for new checkpoints until the run's last step.
        timeout: with follow, seconds without a new checkpoint after which the waiting ends.
        again: whether to score checkpoints whose row is there.
        keep_the_best: whether to copy the best of them to model_dir/best.
        training_arguments, training_settings: what the trainer would get; unused.

    Raises:
        UsageError: nothing to evaluate, or another model than the directory's.
        RunError: a checkpoint was damaged; the others have been evaluated.
    """
    del training_arguments, training_settings
    model_dir = str(estimator.model_dir)
    paths = selection.select_checkpoints(model_dir, checkpoints, may_be_none=follow)
    if keep_the_best:
        paths = keep_best.with_kept(model_dir, paths)
    model = model_of(estimator)
    model_directory.check_model(model_dir, model, estimator.settings["vocabulary"])
    vocabulary_size.check_embedding_size(model, paths)
    rows = _rows(estimator, split, functools.partial(_scorer, estimator, batch_size), again)
    if follow:
        paths = watcher.watch_checkpoints(model_dir, paths, _last_step(), timeout)
    best = keep_best.Best(model_dir) if keep_the_best else None
    try:
        for path in paths:
            row = rows.find(path)
            if best and row:
                best.see(path, row)
    finally:
        rows.close()
    _show(rows, everything=follow)


def _rows(estimator, split, open_scorer, again):
    """The `CheckpointRows` of gin's task and protocol."""
    model_dir = str(estimator.model_dir)
    task, protocol, length = task_name(), protocols.chosen(), length_of(estimator)
    protocol.check(length)
    text = sharing.text(protocol, task, split, length)
    named = {"model_dir": model_dir, "task": task, "split": split, "window": length}
    results = Results(model_dir, f"{task}_{split}_{protocol.label}")
    return CheckpointRows(protocol, text, named, results, open_scorer, again)


def _show(rows, everything):
    """Prints what was found; of a run that was followed, also what was found of it before."""
    shown = rows.results.of(rows.settings) if everything else rows.in_order()
    sharing.add_rows(shown)
    named = rows.settings
    if shown:
        title = f"{named['model_dir']}: {named['task']}, {named['split']} split"
        report.show(title, shown)
    if rows.known:
        console.say(
            f"{rows.known} of {len(rows.rows)} were found before (--again scores them again)"
        )
    if rows.results.rows:
        console.say(f"Results are in {rows.results.path} and {rows.results.table_path}")
    if rows.problems:
        raise RunError(
            f"{len(rows.problems)} of {len(rows.problems) + len(rows.rows)} checkpoints could not "
            f"be evaluated: {'; '.join(rows.problems)}"
        )


def _last_step():
    """The step at which the run ends, from its settings, or None."""
    steps = configured("utils.run.train_steps")
    return steps if isinstance(steps, int) else None


def _scorer(estimator, rows):
    """A block with the scorer of an estimator, or with an equal one of the directory before."""
    model, settings = model_of(estimator), _scorer_settings(estimator, rows)
    return sharing.scorer(functools.partial(Scorer, model, *settings), model, *settings)


def scorer_of(estimator, rows=None) -> Scorer:
    """A scorer of the model and mesh that an estimator was made with, for the chosen protocol."""
    return Scorer(model_of(estimator), *_scorer_settings(estimator, rows))


def _scorer_settings(estimator, rows):
    """What a `Scorer` takes besides its model, in its order."""
    settings = estimator.settings
    if settings.get("use_tpu"):
        raise UsageError(
            "whole splits are evaluated on this machine's own devices: leave out --tpu, and "
            "--eval_every with it"
        )
    as_released = protocols.chosen().name == protocols.AS_RELEASED
    if as_released:
        rows = released.checked_rows(rows)
    where = (settings["mesh_shape"], settings["layout_rules"], settings.get("mesh_devices"))
    if cluster.of_this_run():  # Validation while several hosts train is the chief's own work.
        where = ("", "", None)
    return length_of(estimator), rows, *where, as_released
