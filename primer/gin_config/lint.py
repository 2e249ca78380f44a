"""The rules that Primer's own gin files keep, so that any of them compose."""

import dataclasses
import os
from collections.abc import Iterable
from typing import Any

from primer.gin_config.config_files import SLOT_DEFAULTS, SLOT_SIZES
from primer.gin_config.statements import (
    Macro,
    Reference,
    Statement,
    declared_slots,
    gin_files,
    is_binding,
    is_include,
    is_macro,
    macro_name,
    macros_set,
    parse_file,
)

# The folders whose files set slots, each its own.
SLOT_KINDS = ("architectures", "activations", "sizes", "optimizers", "schedules")
# Of these, the folders whose files all set the same slots, so that a file leaves nothing of another
# that is listed before it: {folder: slots}.
SAME_SLOTS = {
    "optimizers": {
        "optimizer",
        "usual_learning_rate",
        "usual_schedule",
        "usual_warmup_steps",
        "usual_final_learning_rate_fraction",
        "usual_weight_decay",
        "usual_clip_norm",
    },
    "schedules": {"schedule"},
}
# Of these, the folders whose files may set further slots, all of them the same.
WITH_MORE_SLOTS = ("schedules",)
# The folders whose files may override the slots of others, but for those that say what an optimizer
# is usually trained with: `learning_rate` and others are the ones to set.
OVERRIDING = ("recipes", "run")
USUAL = "usual_"
# The function that computes the numbers of sizes/ladder.gin.
LADDER = "ladder_size"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A line that breaks a rule.

    Attributes:
        path: the file, relative to the folder.
        line: the line, from 1.
        message: the rule and what breaks it.
    """

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def macros_used(value: Any) -> set[str]:
    """Returns the names of the macros that occur in a value, at any depth."""
    if isinstance(value, Macro):
        return {value.name}
    if isinstance(value, dict):
        value = list(value) + list(value.values())
    if isinstance(value, (list, tuple, set)):
        return set().union(*map(macros_used, value)) if value else set()
    return set()


def scopes_entered(value: Any) -> set[str]:
    """Returns the scopes of the references in a value, at any depth: `@scope/name`."""
    if isinstance(value, Reference):
        return {value.name.rpartition("/")[0]} - {""}
    if isinstance(value, dict):
        value = list(value) + list(value.values())
    if isinstance(value, (list, tuple, set)):
        return set().union(*map(scopes_entered, value)) if value else set()
    return set()


def own_scope(path: str) -> str:
    """Returns the scope of a file's own settings: its name, with the folders below its kind's."""
    return os.path.splitext(path)[0].split("/", 1)[-1].replace("/", "_")


def is_number(name: str, value: Any) -> bool:
    """Returns whether the value of a size is a number, or one that its ladder computes."""
    if isinstance(value, Reference):
        return value == Reference(f"{name}/{LADDER}", evaluate=True)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Linter:
    """Checks a folder of gin files against the rules that make them compose.

    Args:
        directory: the folder, with defaults.gin and sizes/tiny.gin, which declare the slots.
        others: further folders on gin's search path (t5's). None of them may have a file of the
            same relative path: the order of the search path would decide which of the two is read.
        scopes: scopes that Primer's code enters, in which a file may bind.
        macros: macros that a file may set besides the slots.
    """

    def __init__(
        self,
        directory: str,
        others: Iterable[str] = (),
        scopes: Iterable[str] = (),
        macros: Iterable[str] = ("MIXTURE_NAME",),
    ) -> None:
        self._directory = directory
        self._others = list(others)
        self._scopes = {"", *scopes}
        self._slots = set(declared_slots(directory))
        self._macros = self._slots | set(macros)

    def findings(self) -> list[Finding]:
        """Returns every line that breaks a rule."""
        found: list[Finding] = []
        for path in gin_files(self._directory):
            found += self.of_file(path)
        return found + self._shared_slots() + self._different_slots()

    def of_file(self, path: str) -> list[Finding]:
        """Returns the findings in one file, given by its path relative to the folder."""
        kind = path.split("/")[0] if "/" in path else ""
        found = [
            Finding(path, 1, f"{other} has a file of the same path; rename this one")
            for other in self._others
            if os.path.isfile(os.path.join(other, path))
        ]
        includes_over = False
        for statement in parse_file(os.path.join(self._directory, path)):
            messages = self._of_statement(kind, path, statement)
            if is_include(statement):
                if includes_over:
                    messages.append("include stands after a binding, which it may override")
            elif is_binding(statement):
                includes_over = True
            found += [Finding(path, statement.location.line_num, text) for text in messages]
        return found

    def _of_statement(self, kind: str, path: str, statement: Statement) -> list[str]:
        if is_include(statement):
            return self._of_include(statement)
        if kind == "models":
            return ["a models/ file has include lines only"]
        if not is_binding(statement):
            return []
        if is_macro(statement):
            return self._of_macro(kind, statement)
        return self._of_binding(kind, path, statement)

    def _of_include(self, statement: Statement) -> list[str]:
        folders = [self._directory, *self._others]
        if any(os.path.isfile(os.path.join(folder, statement.filename)) for folder in folders):
            return []
        return [f"include {statement.filename!r}: there is no such file"]

    def _of_macro(self, kind: str, statement: Statement) -> list[str]:
        name, value = macro_name(statement), statement.value
        messages = []
        if name not in self._macros:
            messages.append(f"{name} is not declared in {SLOT_DEFAULTS} or {SLOT_SIZES}")
        if kind == "sizes" and not is_number(name, value):
            messages.append(
                f"{name}: a sizes/ file has lines `name = number` only, "
                f"or `name = @name/{LADDER}()`"
            )
        return messages

    def _of_binding(self, kind: str, path: str, statement: Statement) -> list[str]:
        key = f"{statement.selector}.{statement.arg_name}"
        messages = []
        if kind in SAME_SLOTS:
            messages += self._of_scoped_binding(kind, path, statement)
        elif statement.scope not in self._scopes:
            messages.append(f"{statement.scope}/{key}: no code of Primer's enters this scope")
        if kind in SLOT_KINDS and kind not in SAME_SLOTS:
            messages.append(
                f"{key}: a file of {kind}/ sets slots; bind parameters in {SLOT_DEFAULTS}"
            )
        used = macros_used(statement.value) & self._slots
        if used and path != SLOT_DEFAULTS:
            messages.append(f"{key} = %{min(used)}: slots are bound in {SLOT_DEFAULTS} only")
        if statement.selector == "run":
            messages.append(f"{key}: write utils.{key}, one name for a parameter in all files")
        return messages

    def _of_scoped_binding(self, kind: str, path: str, statement: Statement) -> list[str]:
        """Returns the messages on a binding of a file that may bind in a scope of its own only."""
        key = f"{statement.selector}.{statement.arg_name}"
        scope = own_scope(path)
        if statement.scope != scope:
            return [f"{key}: a file of {kind}/ binds in its own scope only, {scope}/{key}"]
        values = macros_set(os.path.join(self._directory, path)).values()
        if scope not in scopes_entered(list(values)):
            return [f"{scope}/{key}: no slot of this file enters the scope, as by @{scope}/..."]
        return []

    def _shared_slots(self) -> list[Finding]:
        """Returns the slots that files of two kinds set: the order of the files would decide."""
        owner: dict[str, str] = {}
        found = []
        files = [path for path in gin_files(self._directory) if "/" in path]
        # The kinds that own slots come first: they are the ones to be named.
        for path in sorted(files, key=lambda path: path.split("/")[0] not in SLOT_KINDS):
            kind = path.split("/")[0]
            for name in macros_set(os.path.join(self._directory, path)):
                if kind in SLOT_KINDS:
                    owner.setdefault(name, kind)
                first = owner.get(name, kind)
                if first != kind and (kind not in OVERRIDING or name.startswith(USUAL)):
                    found.append(Finding(path, 1, f"{name} is also set by files of {first}/"))
        return found

    def _different_slots(self) -> list[Finding]:
        """Returns the files of a kind of SAME_SLOTS that set too few slots or too many."""
        found = []
        for kind, least in SAME_SLOTS.items():
            files = [path for path in gin_files(self._directory) if path.startswith(f"{kind}/")]
            sets = {path: self._slots_set(path) for path in files}
            expected = least.union(*sets.values()) if kind in WITH_MORE_SLOTS else least
            for path, own in sets.items():
                if expected - own:
                    missing = ", ".join(sorted(expected - own))
                    found.append(Finding(path, 1, f"does not set {missing}: all {kind}/ set it"))
                if own - expected:
                    more = ", ".join(sorted(own - expected))
                    found.append(Finding(path, 1, f"sets {more}: no slot of {kind}/"))
        return found

    def _slots_set(self, path: str) -> set[str]:
        """Returns the macros that a file of the folder sets, with the files that it includes."""
        complete = os.path.join(self._directory, path)
        if not os.path.isfile(complete):
            return set()
        includes = [s.filename for s in parse_file(complete) if is_include(s)]
        return set(macros_set(complete)).union(*map(self._slots_set, includes))
