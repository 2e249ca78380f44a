"""Gin bindings that take no effect, from the calls that gin has recorded; gin does not report them.

For every call of a configurable gin records the scope, and the parameters that it supplied or that
kept their default; not those that the caller passed. A binding takes effect if the scope of a
recorded call begins with the binding's scope, the call has the parameter, and no longer scope in
between binds it too. So: parse, build the graphs of training and of evaluation, look at the record.
"""

import dataclasses
from collections.abc import Collection

import gin

from primer.gin_config import gin_state
from primer.gin_config.gin_state import MACRO
from primer.gin_config.provenance import Key

# t5's main calls it with gin's values in every mode; gin refuses unknown parameters.
RUN = "mesh_tensorflow.transformer.utils.run"

# Parameters of the run that are functions, called by a run or by its input only.
RUN_CALLS = ("train_model_fn", "train_dataset_fn", "eval_dataset_fn", "predict_fn")

SCOPE_NEVER_ENTERED = "its scope is never entered"

# Called on a TPU only.
TPU_ONLY = {"mesh_tensorflow.transformer.utils.tpu_mesh_shape"}


@dataclasses.dataclass(frozen=True, order=True)
class DeadBinding:
    """A binding that no call has read.

    Attributes:
        scope: its scope, or the name of a macro.
        selector: the complete selector of the configurable.
        parameter: the parameter.
        reason: why no call has read it.
    """

    scope: str
    selector: str
    parameter: str
    reason: str

    @property
    def key(self) -> Key:
        """(scope, selector, parameter), as in gin's configuration."""
        return self.scope, self.selector, self.parameter

    def __str__(self) -> str:
        if self.selector == MACRO:
            return f"{self.scope}: {self.reason}"
        scope = f"{self.scope}/" if self.scope else ""
        return f"{scope}{self.selector}.{self.parameter}: {self.reason}"


def snapshot() -> dict[Key, str]:
    """Returns the current bindings as text: {(scope, selector, parameter): value}."""
    return {
        (scope, selector, parameter): repr(value)
        for (scope, selector), parameters in gin_state.bindings().items()
        for parameter, value in parameters.items()
    }


def changed_since(before: dict[Key, str]) -> set[Key]:
    """Returns the keys of bindings that are new or have another value than in a snapshot."""
    return {key for key, value in snapshot().items() if before.get(key) != value}


def called_selectors() -> set[str]:
    """Returns the selectors of all configurables called since the configuration was cleared."""
    return {selector for _, selector in gin_state.recorded_calls()}


def find_dead_bindings(
    keys: Collection[Key] | None = None,
    declared: Collection[str] = (),
    elsewhere: Collection[Key] = (),
) -> list[DeadBinding]:
    """Returns the bindings that no call has read since the configuration was cleared, sorted.

    Args:
        keys: the bindings to look at, as from `changed_since`; None: all.
        declared: macros that may go unread (slots: `d_ff_gated` without a gated unit is fine).
        elsewhere: bindings that code reads which did not run, from `reachable.reachable_keys`.
    """
    read, scopes_of_calls = _read_keys_and_scopes()
    roots = {RUN} | TPU_ONLY | (_functions_of_the_run() - set(scopes_of_calls))
    dead = []
    for key in snapshot():
        scope, selector, parameter = key
        if key in read or key in elsewhere or (selector in roots and not scope):
            continue
        if keys is not None and key not in keys:
            continue
        if selector == MACRO and scope in declared:
            continue
        reason = _reason(scope, selector, scopes_of_calls)
        dead.append(DeadBinding(scope, selector, parameter, reason))
    return sorted(dead)


def _read_keys_and_scopes() -> tuple[set[Key], dict[str, set[str]]]:
    """Returns the keys of the bindings that were read, and {selector: scopes of its calls}."""
    read: set[Key] = set()
    scopes_of_calls: dict[str, set[str]] = {}
    for (scope, selector), parameters in gin_state.recorded_calls().items():
        outer = prefixes(scope)
        scopes_of_calls.setdefault(selector, set()).update(outer)
        for parameter in parameters:
            owners = [s for s in outer if parameter in gin_state.bindings_of(s, selector)]
            if owners:
                read.add((owners[-1], selector, parameter))
    return read, scopes_of_calls


def _functions_of_the_run() -> set[str]:
    """Returns the selectors of the functions that gin binds to the RUN_CALLS."""
    values = (gin_state.bindings_of("", RUN).get(parameter) for parameter in RUN_CALLS)
    references = (v for v in values if isinstance(v, gin.config.ConfigurableReference))
    return {reference.configurable.selector for reference in references}


def prefixes(scope: str) -> list[str]:
    """Returns a scope and those around it: `a/b` -> `["", "a", "a/b"]`."""
    parts = scope.split("/") if scope else []
    return ["/".join(parts[:end]) for end in range(len(parts) + 1)]


def _reason(scope: str, selector: str, scopes_of_calls: dict[str, set[str]]) -> str:
    if selector == MACRO:
        return "no binding in effect reads this macro"
    entered = set().union(*(scopes for s, scopes in scopes_of_calls.items() if s != MACRO))
    if scope and scope not in entered:
        return SCOPE_NEVER_ENTERED
    if selector not in scopes_of_calls:
        return "never called"
    if scope not in scopes_of_calls[selector]:
        return "never called in its scope"
    return "the caller passes another value, or an inner scope binds it"
