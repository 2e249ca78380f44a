"""The settings of a run of training that take no effect.

In a run gin has recorded what its own graph has read, and a second graph of training would cost
seconds: only if settings of the user's own are missing there is the model built once more, for
evaluation. `primer plan` and `primer profile` build the graphs of one block before their work.
"""

from collections.abc import Sequence

from primer.gin_config import findings, gin_state
from primer.gin_config.provenance import Setting
from primer.gin_config.values import bound
from primer.planning import parse, run_graph, vocabulary
from primer.runtime import engine

# Which settings a model reads does not depend on it.
VOCABULARY_SIZE = 128


def warning_lines(files: Sequence[str], params: Sequence[str] = ()) -> list[str]:
    """Returns one line for each setting without effect and each two files that set one slot.

    To be called after the graph of training is built. Leaves gin's record of the run unchanged.

    Args:
        files: the values of `--gin_file`.
        params: the values of `--gin_param`.

    Returns:
        The lines; none for a model that is not a language model: `run_graph` cannot build it.
    """
    if bound("utils.run.model_type") not in run_graph.KINDS:
        return []
    settings = findings.settings_of_run(files, params)
    found = findings.collect_findings(settings, entry_points=engine.entry_points())
    if found.own:
        found = _findings_with_evaluation(settings)
    return _lines(found)


def lines_without_run(files: Sequence[str], params: Sequence[str] = ()) -> list[str]:
    """Returns the lines of `warning_lines` where no graph is built yet, and no data are read.

    Args:
        files: the values of `--gin_file`, which gin has parsed.
        params: the values of `--gin_param`.

    Raises:
        UsageError: the model cannot be built.
    """
    if bound("utils.run.model_type") not in run_graph.KINDS:
        return []
    settings = findings.settings_of_run(files, params)
    with gin_state.recorded_calls_restored(), parse.building("the model"):
        vocabulary.planned_vocabulary()  # Read in any case: it is a setting, too.
        for mode in run_graph.MODES:
            run_graph.build_step(VOCABULARY_SIZE, mode, blocks=1)
        tasks = vocabulary.tasks()
        return _lines(findings.collect_findings(settings, tasks, engine.entry_points()))


def _lines(found: findings.Findings) -> list[str]:
    reported = [finding for finding in found.own if not _was_reported(finding)]
    return [str(line) for line in (*reported, *found.shared)]


def _findings_with_evaluation(settings: Sequence[Setting]) -> findings.Findings:
    """Returns the findings after the model was also built for evaluation."""
    with gin_state.recorded_calls_restored():
        run_graph.build_forward(VOCABULARY_SIZE, "eval")
        return findings.collect_findings(settings, entry_points=engine.entry_points())


def _was_reported(finding: findings.Finding) -> bool:
    """Returns whether `gin_errors.check_macro_names` has reported it when gin parsed the flags."""
    is_macro = finding.kind == findings.UNREAD and finding.where == "--gin_param"
    return is_macro and finding.name not in gin_state.macros_referred_to()
