"""`primer average`: writes averages of weights, for evaluation and use.

They are the mean of several checkpoints, or the moving average that training kept in each.
"""

import argparse
from collections.abc import Sequence

from primer.common import user_paths
from primer.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    parser.add_argument(
        "--model_dir", type=user_paths.expand, required=True, help="the directory of the run"
    )
    parser.add_argument("--output", type=user_paths.expand, required=True, help="a new directory")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--last", type=int, metavar="N", help="the last N checkpoints")
    which.add_argument("--checkpoints", help="all, or steps as in 100,200")
    parser.add_argument(
        "--window",
        type=int,
        metavar="W",
        help="write a mean of every W consecutive checkpoints, named after the last of them",
    )
    parser.add_argument(
        "--moving",
        action="store_true",
        help="write the moving average that training kept (the setting average_decay) of each "
        "chosen checkpoint, by default of the latest, in place of a mean",
    )


def run(options: argparse.Namespace) -> int:
    """Writes the averages, prints which steps each is of, and returns 0."""
    # Not at the top: these import TensorFlow, whose messages are captured first.
    from primer.common import console
    from primer.runtime import import_hook

    console.capture_startup()
    import_hook.install()
    try:
        return _average(options)
    finally:
        console.discard_startup()


def _average(options) -> int:
    from primer.checkpoints import averaging, checkpoint_files
    from primer.common import console

    averaging.check_output_is_new(options.output)
    if options.moving:
        paths = _moving_paths(options)
        averaging.write_moving_averages(options.model_dir, paths, options.output)
        for path in paths:
            step = checkpoint_files.step_of(path)
            console.say(f"model.ckpt-{step}: the moving average of step {step}")
    else:
        groups = windows(_checkpoint_paths(options), options.window)
        averaging.write_averages(options.model_dir, groups, options.output)
        for group in groups:
            steps = [checkpoint_files.step_of(path) for path in group]
            console.say(f"model.ckpt-{steps[-1]}: the mean of steps {', '.join(map(str, steps))}")
    console.say(
        f"Written to {options.output}, without the optimizer's state: to evaluate and to use, not "
        f"to train on.\nNext: primer eval --model_dir {options.output}"
    )
    return 0


def _moving_paths(options) -> list[str]:
    """Returns the paths of the checkpoints whose moving averages are written."""
    from primer.checkpoints import selection

    if options.window is not None:
        raise UsageError("--window is for means of checkpoints: leave it out with --moving")
    if options.last is not None:
        return _last_paths(options, least=1)
    return selection.select_checkpoints(options.model_dir, options.checkpoints or "latest")


def _checkpoint_paths(options) -> list[str]:
    """Returns the paths of the checkpoints whose means are written, in the order of their steps."""
    from primer.checkpoints import selection

    if options.last is not None:
        return _last_paths(options, least=2)
    if options.checkpoints is None:
        raise UsageError("one of --last, --checkpoints and --moving is required")
    if options.checkpoints in ("latest", "best"):
        raise UsageError(
            f"--checkpoints = {options.checkpoints}: one checkpoint has no mean; name at least "
            "two steps, or all"
        )
    return selection.select_checkpoints(options.model_dir, options.checkpoints)


def _last_paths(options, least: int) -> list[str]:
    """Returns the paths of the last --last checkpoints, `least` or more."""
    from primer.checkpoints import checkpoint_files, selection

    selection.select_checkpoints(options.model_dir, "latest")  # Raises UsageError without any.
    paths = checkpoint_files.list_checkpoints(options.model_dir)
    if not least <= options.last <= len(paths):
        raise UsageError(
            f"--last = {options.last}: {options.model_dir} has {len(paths)} checkpoints "
            f"({', '.join(map(str, sorted(paths)))}); expected at least {least} and at most as many"
        )
    return [paths[step] for step in sorted(paths)[-options.last :]]


def windows(paths: Sequence[str], size: int | None = None) -> list[list[str]]:
    """Returns every run of `size` consecutive paths; None: one run of all paths.

    Raises:
        UsageError: `size` is below two, or above the number of paths.
    """
    if size is None:
        size = len(paths)
    elif not 2 <= size <= len(paths):
        raise UsageError(
            f"--window = {size}: expected at least 2, and at most the {len(paths)} checkpoints "
            "that --last or --checkpoints choose"
        )
    if size < 2:
        raise UsageError(f"one checkpoint ({paths[0]}) has no mean: name at least two")
    return [list(paths[first : first + size]) for first in range(len(paths) - size + 1)]
