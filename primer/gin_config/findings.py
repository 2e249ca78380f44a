"""What is wrong with the settings of an experiment although gin takes them, with file and line.

Three kinds: a binding that takes no effect, a scope that is never entered, a macro that nobody
reads. A finding is the user's own where the binding came by `--gin_param` or from a file outside
the installed folders; what our, t5's and Mesh-TensorFlow's files bind in vain is no mistake of his.
"""

import dataclasses
import difflib
import importlib.util
import os

from primer.checkpoints import model_directory
from primer.gin_config import (
    config_files,
    dead_bindings,
    gin_state,
    provenance,
    reachable,
    shared_slots,
    slots,
)
from primer.gin_config.dead_bindings import SCOPE_NEVER_ENTERED
from primer.gin_config.gin_state import MACRO
from primer.gin_config.values import bound

BINDING, SCOPE, UNREAD = "binding", "scope", "macro"
# The order in which they are told, and what each kind is headed with.
KINDS = {
    BINDING: "bindings that take no effect",
    SCOPE: "scopes that are never entered",
    UNREAD: "macros that nobody reads",
}


# What gin's hook writes into a model directory.
OPERATIVE_CONFIG = "operative_config.gin"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A setting without effect: its kind, where it was made, what it sets, why it has no effect."""

    kind: str
    where: str
    name: str
    reason: str
    own: bool

    def __str__(self):
        return f"{self.where}: {self.name} takes no effect: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Findings:
    """All findings, and the pairs of files that set the same slot."""

    dead: tuple
    shared: tuple

    @property
    def own(self) -> list:
        """The findings that are the user's own."""
        return [finding for finding in self.dead if finding.own]

    def lines(self) -> list:
        """One line for each of the user's own findings and each pair of files."""
        return [str(finding) for finding in self.own] + [str(pair) for pair in self.shared]


def installed_folders() -> list:
    """The folders of the gin files that were installed: Primer's, t5's, Mesh-TensorFlow's."""
    folders = [config_files.gin_directory()]
    for package, parts in (
        ("t5", ("models", "gin")),
        ("mesh_tensorflow", ("transformer", "gin")),
    ):
        spec = importlib.util.find_spec(package)
        folders += [os.path.join(path, *parts) for path in spec.submodule_search_locations]
    return [os.path.realpath(folder) for folder in folders]


def mesh_tensorflow_defaults() -> str:
    """Mesh-TensorFlow's gin file that every run reads first."""
    return os.path.join(installed_folders()[-1], "defaults.gin")


def settings_of_run(files, params=()) -> list:
    """Every setting of a run in gin's order, each with its file and line.

    Args:
        files: what `--gin_file` named.
        params: the texts of `--gin_param`.
    """
    return provenance.locate_settings([mesh_tensorflow_defaults(), *files], params)


def collect_findings(made, data=(), entry_points=()) -> Findings:
    """The findings in what gin has parsed, after the graphs were built that read it.

    Args:
        made: the settings, as `settings_of_run` gives them.
        data: what reads the data (a seqio task), where no data were read.
        entry_points: configurables that a run calls itself.
    """
    mode = bound("utils.run.mode", "train")
    elsewhere = reachable.reachable_keys(dead_bindings.called_selectors(), mode, data, entry_points)
    dead = dead_bindings.find_dead_bindings(declared=slots.declared_names(), elsewhere=elsewhere)
    places = provenance.settings_in_force(made)
    order = {setting: number for number, setting in enumerate(made)}
    located = sorted(
        (binding for binding in dead if binding.key in places),
        key=lambda binding: order[places[binding.key]],
    )
    folders = installed_folders()
    return Findings(
        tuple(_finding(binding, places[binding.key], folders) for binding in located),
        tuple(shared_slots.find_shared_slots(made)),
    )


def _finding(binding, setting, folders):
    scope, selector, parameter = binding.key
    own = not setting.is_installed(folders) and not _is_record(setting)
    if selector == MACRO:
        meant = difflib.get_close_matches(scope, slots.declared_names(), n=1, cutoff=0.8)
        hint = f"; did you mean {meant[0]}?" if meant else ""
        return Finding(UNREAD, setting.where, scope, binding.reason + hint, own)
    name = f"{selector.rsplit('.', 1)[-1]}.{parameter}"
    if binding.reason == SCOPE_NEVER_ENTERED:
        reason = f"no code enters the scope {scope!r}; {_scopes_entered()}"
        return Finding(SCOPE, setting.where, f"{scope}/{name}", reason, own)
    name = f"{scope}/{name}" if scope else name
    return Finding(BINDING, setting.where, name, binding.reason, own)


def _is_record(setting):
    """Whether a run has written the file: `config.gin` of a model directory has all bindings."""
    if not setting.files:
        return False
    folder, name = os.path.split(setting.files[-1].path)
    written = (model_directory.CONFIG, OPERATIVE_CONFIG)
    return name in written and os.path.exists(os.path.join(folder, model_directory.RECORD))


def _scopes_entered():
    entered = {s for s, selector in gin_state.recorded_calls() if s and selector != MACRO}
    return f"entered: {', '.join(sorted(entered))}" if entered else "a language model enters none"
