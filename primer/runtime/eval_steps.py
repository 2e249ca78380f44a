"""Which checkpoints `utils.run.eval_checkpoint_step` names, looked at before Mesh-TF does.

Mesh-TF 0.1.21 evaluates nothing and says nothing where "all" finds no checkpoint, and takes the
nearest one for a step that is not there.
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


def check(mode, model_dir):
    """Looks for what the setting names; None, which waits for checkpoints, may find none.

    Args:
        mode: of `utils.run`.
        model_dir: the directory that is about to be evaluated.

    Raises:
        UsageError: there is nothing to evaluate.
    """
    wanted = configured(SETTING)
    if mode not in MODES or wanted is None:
        return
    steps = sorted(checkpoint_files.list_checkpoints(model_dir))
    if not steps:
        raise checkpoint_files.no_checkpoint_error(model_dir)
    if wanted == "all" and not any(steps):
        raise UsageError(
            f"model_dir = {model_dir!r} has the checkpoint of step 0 alone, which "
            f"{SETTING} = 'all' leaves out; give 0 in its place"
        )
    _say_what_is_missing(wanted, steps)


def _say_what_is_missing(wanted, steps):
    listed = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    for step in listed:
        if isinstance(step, int) and step >= 0 and step not in steps:
            console.say(
                f"primer: {SETTING} = {wanted!r}: there is no checkpoint of step {step}, and the "
                f"nearest takes its place; there are {', '.join(map(str, steps))}"
            )
