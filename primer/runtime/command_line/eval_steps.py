"""Checks before an evaluation that the checkpoints of `utils.run.eval_checkpoint_step` exist.

Mesh-TF 0.1.21 silently evaluates nothing if "all" finds no checkpoint, and silently evaluates the
nearest checkpoint if a step has none.
"""

from primer.checkpoints import checkpoint_files
from primer.common import console
from primer.errors import UsageError
from primer.gin_config.values import configured

SETTING = "utils.run.eval_checkpoint_step"
MODES = (
    "perplexity_eval",
    "eval",
    "score_eval",
    "infer",
    "score_from_strings",
    "score_from_dataset",
)


def check_checkpoints_exist(mode: str, model_dir: str) -> None:
    """Checks that there is a checkpoint to evaluate, and reports steps that have none.

    The value None, with which Mesh-TF waits for new checkpoints, is not checked.

    Args:
        mode: the mode of `utils.run`; modes that read no checkpoint are not checked.
        model_dir: the directory of the checkpoints.

    Raises:
        UsageError: there is nothing to evaluate.
    """
    requested = configured(SETTING)
    if mode not in MODES or requested is None:
        return
    steps = sorted(checkpoint_files.list_checkpoints(model_dir))
    if not steps:
        raise checkpoint_files.no_checkpoint_error(model_dir)
    if requested == "all" and not any(steps):
        raise UsageError(
            f"model_dir = {model_dir!r} has only the checkpoint of step 0, which {SETTING} = 'all' "
            f"leaves out; set {SETTING} = 0"
        )
    _report_missing_steps(requested, steps)


def _report_missing_steps(requested: object, steps: list[int]) -> None:
    listed = requested if isinstance(requested, (list, tuple)) else [requested]
    for step in listed:
        if isinstance(step, int) and step >= 0 and step not in steps:
            console.say(
                f"primer: {SETTING} = {requested!r}: there is no checkpoint of step {step}, and "
                f"the nearest is used instead; there are {', '.join(map(str, steps))}"
            )
