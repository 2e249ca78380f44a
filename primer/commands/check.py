"""`primer check`: prints what gin files build, and which settings take no effect; needs no data."""

import argparse
import json

from primer.commands import check_coordinates
from primer.commands import options as shared
from primer.common import checks
from primer.errors import UsageError
from primer.gin_config import config_files
from primer.launch import train
from primer.planning.coordinates import coordinate_check


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    shared.add_gin_files(parser)
    shared.add_optimization(parser)
    shared.add_gin_file(parser)
    shared.add_model(parser, "a model, before these files")
    shared.add_task_without_data(parser)
    shared.add_gin_param(parser)
    shared.add_module_import(parser)
    parser.add_argument(
        "--vocabulary_size",
        type=int,
        help="the number of token ids (default: that of --task, else of the published model, else "
        f"T5's 32128; with --coordinates {coordinate_check.VOCABULARY_SIZE})",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="print also the bindings of installed gin files that take no effect",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    check_coordinates.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the model and the findings; returns 1 for a finding in the user's own settings.

    With --coordinates as `check_coordinates.run`.
    """
    files = _gin_files(options)
    params = [*train.learning_rate_bindings(options.learning_rate), *options.gin_param]
    vocabulary_size = _vocabulary_size(options)
    check_coordinates.check_options(options)
    shared.check_settings(files, params, options.module_import)
    # Not at the top: these import TensorFlow, whose messages are captured first.
    from primer.common import console
    from primer.planning import check
    from primer.planning.plans import engine_imports
    from primer.runtime import import_hook

    console.capture_startup()
    import_hook.install()
    try:
        engine_imports.import_modules(["t5_imports", *options.module_import])
        if options.coordinates:
            size = vocabulary_size or coordinate_check.VOCABULARY_SIZE
            code = check_coordinates.run(options, files, params, size)
        else:
            of_task = options.task is not None
            result = check.check_gin_files(files, params, vocabulary_size, of_task)
    except UsageError:
        console.discard_startup()
        raise
    console.discard_startup()
    if options.coordinates:
        return code
    from primer.commands.printing import check_report

    if options.json:
        print(json.dumps(check_report.as_data(result, options.all), indent=2))
    else:
        check_report.print_report(result, options.all)
    return 1 if result.findings.own else 0


def _vocabulary_size(options) -> int | None:
    if options.vocabulary_size is None:
        return None  # That of the published model, or of the check of coordinates.
    return checks.whole_number("--vocabulary_size", options.vocabulary_size)


def _gin_files(options) -> list[str]:
    """Returns the gin files in the order of a command line: the model's, then the named ones."""
    choice = shared.model_choice(options)
    model_files = [] if choice.is_empty() else train.model_gin_files(choice)
    named = [*options.files, *options.gin_file]
    chosen = train.optimization_files(options.optimizer, options.schedule)
    task = shared.task_files(options)
    files = [*model_files, *task, *options.files, *chosen, *options.gin_file]
    models = config_files.names_of_kind("models")
    if not files:
        raise UsageError(
            "nothing to check: name gin files (models/defaults.gin first), or --model, one of "
            + config_files.short_list(models)
        )
    for name in named:
        if name in models:
            raise UsageError(f"{name} is a model and no gin file: give --model {name}")
    return files
