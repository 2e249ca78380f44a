"""`primer average`: the mean of checkpoints, to be evaluated and used and not trained."""

from primer.errors import UsageError


def add_arguments(parser):
    """Adds the arguments of the command to its parser."""
    parser.add_argument("--model_dir", required=True, help="the directory of the run")
    parser.add_argument("--output", required=True, help="a new directory")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--last", type=int, metavar="N", help="the last N checkpoints")
    which.add_argument("--checkpoints", help="all, or steps as in 100,200")
    parser.add_argument(
        "--window",
        type=int,
        metavar="W",
        help="a mean for every W checkpoints that follow each other, named after the last of them",
    )


def run(options) -> int:
    """Writes the averages; says of what they are."""
    # Not at the top: what follows imports TensorFlow, whose notices are not what was asked for.
    from primer.common import console
    from primer.runtime import import_hook

    console.capture_early()
    import_hook.install()
    try:
        return _average(options)
    finally:
        console.drop_early()


def _average(options) -> int:
    from primer.checkpoints import averaging, checkpoint_files, selection
    from primer.common import console

    averaging.check_output(options.output)
    found = windows(_chosen(selection, options), options.window)
    averaging.write(options.model_dir, found, options.output)
    for window in found:
        steps = [checkpoint_files.step_of(path) for path in window]
        console.say(f"model.ckpt-{steps[-1]}: the mean of steps {', '.join(map(str, steps))}")
    console.say(
        f"Written to {options.output}, without the optimizer's state: to evaluate and to use, not "
        f"to train on.\nNext: primer eval --model_dir {options.output}"
    )
    return 0


def _chosen(choice, options) -> list:
    """The paths of the checkpoints that are asked for, in the order of their steps."""
    if options.last is None:
        if options.checkpoints in ("latest", "best"):
            raise UsageError(f"--checkpoints = {options.checkpoints}: one checkpoint has no mean")
        return choice.choose(options.model_dir, options.checkpoints)
    from primer.checkpoints import checkpoint_files

    choice.choose(options.model_dir, "latest")  # Says so where there is none.
    found = checkpoint_files.in_directory(options.model_dir)
    if not 2 <= options.last <= len(found):
        raise UsageError(
            f"--last = {options.last}: {options.model_dir} has {len(found)} checkpoints "
            f"({', '.join(map(str, sorted(found)))}); expected at least 2 and at most as many"
        )
    return [found[step] for step in sorted(found)[-options.last :]]


def windows(paths, size=None) -> list:
    """All paths, or each run of `size` paths that follow each other.

    Raises:
        UsageError: a window of less than two, or of more than there are.
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
    return [paths[first : first + size] for first in range(len(paths) - size + 1)]
