"""Which settings of a run of training take no effect, from what its own graph has read.

A second graph would cost seconds. gin has noted what the run read while it built the graph that
trains; only where something of the user's own is missing there, the model is built once more, for
evaluation, to see whether that reads it.
"""

from primer.gin_config import findings, gin_state
from primer.gin_config.values import bound
from primer.planning import run_graph
from primer.runtime import engine

# Which parameters are read does not depend on it.
VOCABULARY_SIZE = 128


def warning_lines(files, params=()) -> list:
    """One line for each setting without effect, and for each pair of files that set one slot.

    Call it when the graph that trains is built. gin's record of the run stays as it was.

    Args:
        files: what `--gin_file` named.
        params: the texts of `--gin_param`.

    Returns:
        A list of texts; empty for another model than a language model, whose evaluation cannot be
        built alone.
    """
    if bound("utils.run.model_type") != "lm":
        return []
    made = findings.settings_of_run(files, params)
    found = findings.collect_findings(made, entry_points=engine.entry_points())
    if found.own:
        found = _with_evaluation(made)
    told = [finding for finding in found.own if not _was_said(finding)]
    return [str(line) for line in (*told, *found.shared)]


def _with_evaluation(made):
    """The findings after evaluation has read its settings, too."""
    with gin_state.recorded_calls_restored():
        run_graph.build_forward(VOCABULARY_SIZE, "eval")
        return findings.collect_findings(made, entry_points=engine.entry_points())


def _was_said(finding):
    """Whether `gin_errors.check_macro_names` has told of it when gin read the command line."""
    is_macro = finding.kind == findings.UNREAD and finding.where == "--gin_param"
    return is_macro and finding.name not in gin_state.macros_referred_to()
