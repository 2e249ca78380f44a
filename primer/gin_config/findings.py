"""The settings of a run that gin accepts and that have no effect, each with its file and line.

There are three kinds: a binding that takes no effect, a scope that is never entered, a macro that
nothing reads. A finding is the user's own if `--gin_param` or a file outside the installed folders
makes the setting; the files of Primer, t5 and Mesh-TensorFlow have such settings, too.
"""

import dataclasses
import difflib
import importlib.util
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

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
from primer.gin_config.provenance import Setting
from primer.gin_config.values import bound

BINDING, SCOPE, UNREAD = "binding", "scope", "macro"
# Each kind and its heading, in the order of a report.
KINDS = {
    BINDING: "bindings that take no effect",
    SCOPE: "scopes that are never entered",
    UNREAD: "macros that nothing reads",
}

# The file that gin's hook writes into a model directory.
OPERATIVE_CONFIG = "operative_config.gin"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A setting without effect.

    Attributes:
        kind: BINDING, SCOPE or UNREAD.
        where: `file:line`, or `--gin_param`.
        name: what it sets, with its scope.
        reason: why it has no effect.
        own: whether it is the user's own.
    """

    kind: str
    where: str
    name: str
    reason: str
    own: bool

    def __str__(self) -> str:
        return f"{self.where}: {self.name} takes no effect: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Findings:
    """All findings of a run.

    Attributes:
        dead: the settings without effect, in gin's order.
        shared: the pairs of files that set the same slot.
    """

    dead: tuple[Finding, ...]
    shared: tuple[shared_slots.SharedSlots, ...]

    @property
    def own(self) -> list[Finding]:
        """The findings that are the user's own."""
        return [finding for finding in self.dead if finding.own]


def installed_folders() -> list[str]:
    """Returns the folders of installed gin files: Primer's, t5's, Mesh-TensorFlow's."""
    return [
        os.path.realpath(folder)
        for folder in (
            config_files.gin_directory(),
            *_package_folders("t5", "models", "gin"),
            *_package_folders("mesh_tensorflow", "transformer", "gin"),
        )
    ]


def _package_folders(package: str, *parts: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return [os.path.join(folder, *parts) for folder in folders or []]


def mesh_tensorflow_defaults() -> str:
    """Returns the path of Mesh-TensorFlow's defaults.gin, which every run reads first."""
    return os.path.join(installed_folders()[-1], "defaults.gin")


def settings_of_run(files: Sequence[str], params: Sequence[str] = ()) -> list[Setting]:
    """Returns every setting of a run in gin's order, each with its file and line.

    Args:
        files: the values of `--gin_file`.
        params: the values of `--gin_param`.
    """
    return provenance.locate_settings([mesh_tensorflow_defaults(), *files], params)


def collect_findings(
    settings: Sequence[Setting],
    tasks: Sequence[Any] = (),
    entry_points: Sequence[Callable] = (),
) -> Findings:
    """Returns the findings in gin's configuration, once the graphs that read it are built.

    Args:
        settings: all settings, from `settings_of_run`.
        tasks: seqio tasks whose data were not read.
        entry_points: configurables that a run calls without a binding that names them.
    """
    mode = bound("utils.run.mode", "train")
    called = dead_bindings.called_selectors()
    elsewhere = reachable.reachable_keys(called, mode, tasks, entry_points)
    dead = dead_bindings.find_dead_bindings(declared=slots.declared_names(), elsewhere=elsewhere)
    in_force = provenance.settings_in_force(settings)
    order = {setting: number for number, setting in enumerate(settings)}
    located = sorted(
        (binding for binding in dead if binding.key in in_force),
        key=lambda binding: order[in_force[binding.key]],
    )
    folders = installed_folders()
    return Findings(
        tuple(_finding(binding, in_force[binding.key], folders) for binding in located),
        tuple(shared_slots.find_shared_slots(settings)),
    )


def _finding(
    binding: dead_bindings.DeadBinding, setting: Setting, folders: Iterable[str]
) -> Finding:
    scope, selector, parameter = binding.key
    own = not setting.is_installed(folders) and not _is_record_of_run(setting)
    if selector == MACRO:
        similar = difflib.get_close_matches(scope, slots.declared_names(), n=1, cutoff=0.8)
        hint = f"; did you mean {similar[0]}?" if similar else ""
        return Finding(UNREAD, setting.where, scope, binding.reason + hint, own)
    name = f"{selector.rsplit('.', 1)[-1]}.{parameter}"
    if binding.reason == SCOPE_NEVER_ENTERED:
        reason = f"no code enters the scope {scope!r}; {_scopes_entered()}"
        return Finding(SCOPE, setting.where, f"{scope}/{name}", reason, own)
    name = f"{scope}/{name}" if scope else name
    return Finding(BINDING, setting.where, name, binding.reason, own)


def _is_record_of_run(setting: Setting) -> bool:
    """Returns whether a run wrote the file: a model directory's `config.gin` has all bindings."""
    if not setting.files:
        return False
    folder, name = os.path.split(setting.files[-1].path)
    written = (model_directory.CONFIG, OPERATIVE_CONFIG)
    return name in written and os.path.exists(os.path.join(folder, model_directory.RECORD))


def _scopes_entered() -> str:
    entered = {s for s, selector in gin_state.recorded_calls() if s and selector != MACRO}
    return f"entered: {', '.join(sorted(entered))}" if entered else "a language model enters none"
