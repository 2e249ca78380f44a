"""`primer check`: what gin files build, and which settings take no effect; needs no data."""

import importlib
import json
import typing

from primer.commands import train
from primer.errors import UsageError
from primer.gin_config import config_files

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
        help="a model, before these files: " + ", ".join(config_files.names("models")),
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
    if options.vocabulary_size <= 0:
        raise UsageError(
            f"--vocabulary_size = {options.vocabulary_size}: expected a positive number"
        )
    # Not at the top: these import TensorFlow, whose notices are not what was asked for.
    from primer.common import console
    from primer.runtime import import_hook

    console.capture_early()
    import_hook.install()
    try:
        _import(options.module_import)
        checked = check(files, options.gin_param, options.vocabulary_size)
    except UsageError:
        console.drop_early()
        raise
    console.drop_early()
    from primer.commands import check_report

    if options.json:
        print(json.dumps(check_report.as_data(checked, options.all), indent=2))
    else:
        check_report.show(checked, options.all)
    return 1 if checked.findings.own else 0


def _files(options) -> list:
    """The gin files in the order of a command line: the model's, then those that were named."""
    names = ("model", *train.PARTS)
    of_model = train.model_files(options) if any(getattr(options, n) for n in names) else []
    files = [*of_model, *options.gin_file]
    if not files:
        raise UsageError(
            "nothing to check: name gin files (models/defaults.gin first), or --model, one of "
            + ", ".join(config_files.names("models"))
        )
    for name in options.gin_file:
        if name in config_files.names("models"):
            raise UsageError(f"{name} is a model and no gin file: give --model {name}")
    return files


def _import(modules):
    for name in ["t5_imports", *modules]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"--module_import={name}: {error}") from error


class Checked(typing.NamedTuple):
    """What `check` found out."""

    files: list
    slots: dict  # {slot: (its value as text, what it comes to or None, where it is set)}
    groups: list  # Of primer.planning.structure.
    findings: object  # primer.gin_config.findings.Findings


def check(files, params, vocabulary_size) -> Checked:
    """Parses gin files as a run does, builds what trains and what evaluates, and looks at it.

    Args:
        files: as `--gin_file` names them.
        params: the texts of `--gin_param`.
        vocabulary_size: the number of token ids.

    Raises:
        UsageError: gin cannot take the files, or the model cannot be built.
    """
    import tensorflow.compat.v1 as tf

    from primer.common import gc_pause
    from primer.gin_config import findings, isolation

    tf.disable_v2_behavior()
    with isolation.isolated(), gc_pause.paused():
        _parse(files, params)
        made = findings.settings(files, params)
        groups = _build(vocabulary_size)
        return Checked(files, _slots(made), groups, findings.find(made, _data()))


def _parse(files, params):
    """As t5's main, without its flags."""
    import gin
    from t5.models import mesh_transformer

    from primer.gin_config import findings, gin_errors

    for folder in findings.installed_folders()[:2]:
        if folder not in gin.config._LOCATION_PREFIXES:
            gin.add_config_file_search_path(folder)
    skipped = mesh_transformer.DEPRECATED_GIN_REFERENCES
    try:
        gin.parse_config_file(findings.defaults_file(), skip_unknown=skipped)
        gin.parse_config_files_and_bindings(
            files, params, skip_unknown=skipped, finalize_config=False
        )
        _require_slots()
        gin.finalize()
    except OSError as error:
        raise UsageError(" ".join(str(error).split())) from error
    except (ValueError, SyntaxError, ImportError) as error:
        raise gin_errors.in_one_line(error) from error


def _require_slots():
    """Raises UsageError where a binding refers to a macro that nothing sets; gin names one only."""
    from primer.gin_config import slots

    missing = slots.missing()
    if missing:
        raise UsageError(
            f"{', '.join(missing)}: nothing sets {'these slots' if missing[1:] else 'this slot'}; "
            "give a file of sizes/, or --gin_param"
        )


def _build(vocabulary_size):
    """Builds the graphs of training and of evaluation; returns the model's layers.

    The whole model is built once, for its shapes. What else a run reads (the optimizer, the
    schedule, evaluation), it reads with one block as with many.
    """
    from primer.planning import run_graph, structure

    try:
        model, graph = run_graph.build_forward(vocabulary_size)
        for mode in run_graph.MODES:
            run_graph.build_step(vocabulary_size, mode, blocks=1)
    except UsageError as error:
        raise UsageError(_first_line(error)) from error  # gin adds where it was called.
    except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        raise UsageError(f"the model cannot be built: {_first_line(error)}") from error
    return structure.groups(model, graph)


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _slots(made):
    from primer.gin_config import provenance, slots
    from primer.gin_config.dead_bindings import MACRO

    places = provenance.in_force(made)
    values = slots.values()
    ends = slots.ends(values)
    return {
        name: (value, ends.get(name), places[name, MACRO, "value"].where)
        for name, value in values.items()
    }


def _data():
    """The tasks that the files name: what they would read, nobody reads here."""
    import seqio

    from primer.data import preflight
    from primer.gin_config.values import configured

    functions = ("mesh_train_dataset_fn", "mesh_eval_dataset_fn")
    names = {configured(f"{function}.mixture_or_task_name") for function in functions}
    return [task for name in names if name for task in seqio.get_subtasks(preflight.find(name))]
