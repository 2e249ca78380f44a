"""`primer check`: what gin files build, and which settings take no effect; needs no data."""

import importlib
import json

from primer.common import checks
from primer.errors import UsageError
from primer.gin_config import config_files
from primer.launch import train

# T5's vocabulary, which the published numbers of parameters are for.
VOCABULARY_SIZE = 32128


def add_arguments(parser):
    """Adds the arguments of the command to its parser."""
    parser.add_argument(
        "gin_file",
        nargs="*",
        metavar="GIN_FILE",
        help="gin files as --gin_file of t5_mesh_transformer has them, models/defaults.gin first",
    )
    parser.add_argument(
        "--model",
        help="a model, before these files: " + ", ".join(config_files.names_of_kind("models")),
    )
    for part in train.PARTS:
        parser.add_argument(
            f"--{part}", help=f"instead of --model, with the two others: {part}, a name or a file"
        )
    parser.add_argument(
        "--gin_param", action="append", default=[], help="a gin binding, after all files"
    )
    parser.add_argument(
        "--module_import", action="append", default=[], help="a further Python module to import"
    )
    parser.add_argument(
        "--vocabulary_size",
        type=int,
        default=VOCABULARY_SIZE,
        help=f"the number of token ids (default: {VOCABULARY_SIZE}, T5's)",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="tell also what the installed gin files bind without effect",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options) -> int:
    """Prints what is built and found; 1 if a setting of the user's own takes no effect."""
    files = _files(options)
    checks.whole_number("--vocabulary_size", options.vocabulary_size)
    # Not at the top: these import TensorFlow, whose notices are not what was asked for.
    from primer.common import console
    from primer.planning import check
    from primer.runtime import import_hook

    console.capture_early()
    import_hook.install()
    try:
        _import(options.module_import)
        checked = check.check_gin_files(files, options.gin_param, options.vocabulary_size)
    except UsageError:
        console.drop_early()
        raise
    console.drop_early()
    from primer.commands import check_report

    if options.json:
        print(json.dumps(check_report.as_data(checked, options.all), indent=2))
    else:
        check_report.print_report(checked, options.all)
    return 1 if checked.findings.own else 0


def _files(options) -> list:
    """The gin files in the order of a command line: the model's, then those that were named."""
    names = ("model", *train.PARTS)
    of_model = train.model_gin_files(options) if any(getattr(options, n) for n in names) else []
    files = [*of_model, *options.gin_file]
    if not files:
        raise UsageError(
            "nothing to check: name gin files (models/defaults.gin first), or --model, one of "
            + ", ".join(config_files.names_of_kind("models"))
        )
    for name in options.gin_file:
        if name in config_files.names_of_kind("models"):
            raise UsageError(f"{name} is a model and no gin file: give --model {name}")
    return files


def _import(modules):
    for name in ["t5_imports", *modules]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"--module_import={name}: {error}") from error
