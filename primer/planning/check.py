"""What gin files build, and which settings take no effect, found without any data."""

import typing

from primer.errors import UsageError


class CheckResult(typing.NamedTuple):
    """What `check_gin_files` found out."""

    files: list
    slots: dict  # {slot: (its value as text, what it comes to or None, where it is set)}
    groups: list  # Of primer.planning.structure.
    findings: object  # primer.gin_config.findings.Findings


def check_gin_files(files, params, vocabulary_size) -> CheckResult:
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
    from primer.runtime import engine

    tf.disable_v2_behavior()
    with isolation.isolated(), gc_pause.paused():
        _parse(files, params)
        made = findings.settings_of_run(files, params)
        groups = _build(vocabulary_size)
        return CheckResult(
            files,
            _slots(made),
            groups,
            findings.collect_findings(made, _data(), engine.entry_points()),
        )


def _parse(files, params):
    """As t5's main, without its flags."""
    import gin
    from t5.models import mesh_transformer

    from primer.gin_config import findings, gin_errors, gin_state

    for folder in findings.installed_folders()[:2]:
        if folder not in gin_state.search_path():
            gin.add_config_file_search_path(folder)
    skipped = mesh_transformer.DEPRECATED_GIN_REFERENCES
    try:
        gin.parse_config_file(findings.mesh_tensorflow_defaults(), skip_unknown=skipped)
        gin.parse_config_files_and_bindings(
            files, params, skip_unknown=skipped, finalize_config=False
        )
        _require_slots()
        gin.finalize()
    except OSError as error:
        raise UsageError(" ".join(str(error).split())) from error
    except (ValueError, SyntaxError, ImportError) as error:
        raise gin_errors.as_usage_error(error) from error


def _require_slots():
    """Raises UsageError where a binding refers to a macro that nothing sets; gin names one only."""
    from primer.gin_config import slots

    missing = slots.unset_macros()
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
    return structure.layer_groups(model, graph)


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _slots(made):
    from primer.gin_config import provenance, slots
    from primer.gin_config.dead_bindings import MACRO

    places = provenance.settings_in_force(made)
    values = slots.values_in_force()
    ends = slots.resolve_references(values)
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
