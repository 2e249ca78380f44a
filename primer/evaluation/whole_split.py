"""Checkpoints of a run on a whole split: what `primer eval` asks of the engine.

t5's main calls `utils.run`, and that calls `train_model_fn` with the estimator it has made. With
`gin/run/evaluate.gin` this function takes the trainer's place, so that the model, the mesh and the
task come from the very settings that training had.
"""

import gin
from mesh_tensorflow.transformer import utils

from primer.errors import RunError, UsageError
from primer.evaluation import choice, protocols, record, released, report, vocabulary_fit
from primer.evaluation.progress import Progress
from primer.evaluation.scorer import Scorer
from primer.runtime import checkpoints as checkpoint_files
from primer.runtime import cluster, logs
from primer.runtime.settings import configured


@gin.configurable(module="primer")
def evaluate_checkpoints(
    estimator,
    *training_arguments,
    split="validation",
    checkpoints="all",
    batch_size=None,
    **training_settings,
):
    """Evaluates checkpoints on a whole split; prints a table, writes JSON and TSV.

    Args:
      estimator: a LocalEstimator, for its model, mesh, task and directory.
      split: the split of the task.
      checkpoints: "all", "latest", "best", or steps as in "1000,2000".
      batch_size: windows per batch; it changes the speed and not the numbers.
      training_arguments, training_settings: what the trainer would get; unused.

    Raises:
      UsageError: nothing to evaluate, or another model than the directory's.
      RunError: a checkpoint was damaged; the others have been evaluated.
    """
    del training_arguments, training_settings
    model_dir = estimator.model_dir
    paths = choice.choose(model_dir, checkpoints)
    record.check(model_dir, model_of(estimator), estimator.settings["vocabulary"])
    vocabulary_fit.check(model_of(estimator), paths)
    task, protocol = task_name(), protocols.chosen()
    length = length_of(estimator)
    protocol.check(length)
    split_text = protocol.read(task, split, length)
    scorer = scorer_of(estimator, batch_size)
    rows, problems = _evaluate_all(scorer, protocol, split_text, paths)
    scorer.close()
    results = _results(model_dir, task, split, protocol, split_text, scorer, rows, problems)
    written = report.write(model_dir, f"{task}_{split}_{protocol.label}", results)
    if rows:
        report.show(f"{model_dir}: {task}, {split} split", rows, results["how"])
    logs.say(f"Written to {' and '.join(written)}")
    if problems:
        raise RunError(
            f"{len(problems)} of {len(paths)} checkpoints could not be evaluated: "
            + "; ".join(problems)
        )


def _results(model_dir, task, split, protocol, split_text, scorer, rows, problems) -> dict:
    """What is written: the rows, and all that says what they are numbers of."""
    return {
        "model_dir": str(model_dir),
        "task": task,
        "split": split,
        "protocol": protocol.label,
        "how": protocol.describe(split, scorer.length, scorer.caveats),
        "window": scorer.length,
        "text_checksum": split_text.checksum,
        "checkpoints": rows,
        "problems": problems,
    }


def _evaluate_all(scorer, protocol, split_text, paths):
    """One row per checkpoint that can be read, and one message per other."""
    rows, problems = [], []
    for path in paths:
        step = checkpoint_files.step_of(path)
        try:
            if not checkpoint_files.is_whole(path):
                raise RunError(f"the checkpoint {path} is incomplete or damaged")
            scorer.restore(path)
        except (RunError, UsageError) as error:
            logs.say(f"primer: {error}; skipped")
            problems.append(f"step {step}: {error}")
            continue
        with Progress(f"step {step:,}", len(split_text.ids)) as progress:
            totals = protocol.evaluate(scorer, split_text, progress)
        rows.append({"step": step, **totals.as_dict()})
    return rows, problems


def length_of(estimator) -> int:
    """Tokens of the model's window."""
    return estimator.settings["sequence_length"]["targets"]


def scorer_of(estimator, rows=None) -> Scorer:
    """A scorer of the model and mesh that an estimator was made with, for the chosen protocol."""
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
        where = ()
    model = model_of(estimator)
    return Scorer(model, length_of(estimator), rows, *where, as_released=as_released)


def model_of(estimator):
    """The Mesh-TF model of an estimator; TensorFlow's own does not tell, and is asked as gin is."""
    if hasattr(estimator, "model"):
        return estimator.model
    settings = estimator.settings
    return utils.build_model(
        settings["model_type"],
        utils.inputs_vocabulary(settings["vocabulary"]).vocab_size,
        utils.targets_vocabulary(settings["vocabulary"]).vocab_size,
        settings["layout_rules"],
        settings["mesh_shape"],
    )


def task_name() -> str:
    """The task or mixture that training reads, from gin."""
    name = configured("mesh_train_dataset_fn.mixture_or_task_name")
    if not name:
        raise UsageError(
            "no task: set MIXTURE_NAME, and give dataset.gin or a file of datasets/ (--gin_file)"
        )
    return name
