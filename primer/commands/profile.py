"""`primer profile`: where the time of a step goes, measured on random ids; needs no data."""

import argparse
from typing import TYPE_CHECKING

from primer.commands import options as shared
from primer.common import checks, user_paths
from primer.common.live_line import LiveLine
from primer.launch import train
from primer.planning.plans import engine_imports

if TYPE_CHECKING:
    from primer.profiling.synthetic import Request

STEPS, WARM_UP = 5, 5
_MODES = ("train", "eval")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    shared.add_gin_files(parser)
    shared.add_model(parser, "a model, before these files")
    shared.add_task_without_data(parser)
    shared.add_optimization(parser)
    shared.add_gin_file(parser)
    shared.add_gin_param(parser)
    shared.add_module_import(parser)
    parser.add_argument("--batch_size", type=int, help="rows of a batch (default: the gin files')")
    parser.add_argument("--length", type=int, help="tokens of a row (default: the gin files')")
    parser.add_argument("--vocabulary_size", type=int, help="the number of token ids")
    parser.add_argument(
        "--mode", choices=_MODES, default="train", help="a training step, or the loss of a batch"
    )
    parser.add_argument(
        "--steps", type=int, default=STEPS, help=f"steps that are traced (default: {STEPS})"
    )
    parser.add_argument(
        "--warm_up", type=int, default=WARM_UP, help=f"steps before them (default: {WARM_UP})"
    )
    _add_threads(parser)
    parser.add_argument(
        "--output",
        type=user_paths.expand,
        metavar="FOLDER",
        help="write JSON, a picture and TensorFlow's traces",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace these files")


def _add_threads(parser: argparse.ArgumentParser) -> None:
    for name, what in (("between", "operations that run at once"), ("within", "of an operation")):
        parser.add_argument(
            f"--threads_{name}",
            type=int,
            help=f"threads: {what} (default: TensorFlow's choice, as in a run)",
        )


def run(options: argparse.Namespace) -> int:
    """Prints the profile, writes its files, and returns 0."""
    files = shared.gin_files_of_run(options, "profile")
    _check_options(options)
    params = [
        *train.learning_rate_bindings(options.learning_rate),
        *_batch_bindings(options),
        *options.gin_param,
    ]
    shared.check_settings(files, params, options.module_import, slots=True)
    with engine_imports.imported(options.module_import):
        # Not at the top: these import TensorFlow.
        from primer.planning.plans import planner
        from primer.profiling import synthetic, tables, trace_files

        with planner.settings_of(files, params), LiveLine() as line:
            asked = _request(options)
            shared.say_settings_without_effect(files, params, line)

            def say(text: str) -> None:
                if line.is_live or line.is_due():
                    line.show(f"Profiling: {text}")

            found, steps, graph = synthetic.measured(asked, say)
    tables.print_profile(found)
    if options.output is not None:
        names = trace_files.write(options.output, found, steps.traces, graph)
        print(f"{', '.join(names)} and events for TensorBoard: {options.output}")
    return 0


def _check_options(options: argparse.Namespace) -> None:
    """Raises UsageError for a wrong option, before TensorFlow is imported."""
    names = ("batch_size", "length", "vocabulary_size", "steps", "warm_up")
    for name in (*names, "threads_between", "threads_within"):
        value = getattr(options, name)
        if value is not None:
            checks.whole_number(f"--{name}", value)
    if options.output is not None:
        checks.output_file(f"{options.output}/profile.json", "--output", options.overwrite)


def _batch_bindings(options: argparse.Namespace) -> list[str]:
    """Returns the gin bindings of --batch_size and --length."""
    bindings = []
    if options.batch_size is not None:
        bindings.append(f'utils.run.batch_size = ("sequences_per_batch", {options.batch_size})')
    if options.length is not None:
        lengths = {"inputs": options.length, "targets": options.length}
        bindings.append(f"utils.run.sequence_length = {lengths}")
    return bindings


def _request(options: argparse.Namespace) -> "Request":
    """Returns what to profile; gin has the settings of the run."""
    from primer.planning import vocabulary
    from primer.planning.layouts import notation, run_check
    from primer.profiling import synthetic

    own_size = vocabulary.of_task if options.task else vocabulary.planned_vocabulary
    return synthetic.Request(
        vocabulary_size=options.vocabulary_size or own_size(),
        mode=options.mode,
        steps=options.steps,
        warm_up=options.warm_up,
        threads_between=options.threads_between or 0,
        threads_within=options.threads_within or 0,
        mesh_shape=notation.mesh_text(run_check.mesh_in_force()),
        layout_rules=notation.layout_text(run_check.layout_in_force()),
    )
