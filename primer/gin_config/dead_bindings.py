"""Which gin bindings take no effect: gin itself does not say.

gin notes, for every call of a configurable, the scope and the parameters that it supplied itself
or that kept their default. A binding is live if a noted call's scope begins with the binding's,
has the parameter, and no longer scope in between binds it too; whatever a caller passes is not
noted. So: parse, build the graphs of training and of evaluation, and look at what was noted. This
reads two private dictionaries of gin-config 0.5.0; a test pins what they mean.
"""

import dataclasses

import gin

from primer.gin_config import gin_state
from primer.gin_config.gin_state import MACRO

# t5's main calls it with what gin gives, in some mode or other; gin refuses unknown names.
RUN = "mesh_tensorflow.transformer.utils.run"

# Parameters of the run whose functions only a run calls, or one that draws data.
RUN_CALLS = ("train_model_fn", "train_dataset_fn", "eval_dataset_fn", "predict_fn")

SCOPE_NEVER_ENTERED = "its scope is never entered"

# Live on a TPU only.
TPU_ONLY = {"mesh_tensorflow.transformer.utils.tpu_mesh_shape"}


@dataclasses.dataclass(frozen=True, order=True)
class DeadBinding:
    """A binding that no call has read, and why."""

    scope: str
    selector: str
    parameter: str
    reason: str

    @property
    def key(self) -> tuple:
        """(scope, selector, parameter), as gin has it."""
        return self.scope, self.selector, self.parameter

    def __str__(self):
        if self.selector == MACRO:
            return f"{self.scope}: {self.reason}"
        scope = f"{self.scope}/" if self.scope else ""
        return f"{scope}{self.selector}.{self.parameter}: {self.reason}"


def snapshot() -> dict:
    """The bindings of this moment as text: {(scope, selector, parameter): value}."""
    return {
        (scope, selector, parameter): repr(value)
        for (scope, selector), parameters in gin_state.bindings().items()
        for parameter, value in parameters.items()
    }


def changed_since(before: dict) -> set:
    """The keys of the bindings that were added or got another value since a snapshot."""
    return {key for key, value in snapshot().items() if before.get(key) != value}


def called_selectors() -> set:
    """The selectors of all configurables that were called since the configuration was cleared."""
    return {selector for _, selector in gin_state.recorded_calls()}


def find_dead_bindings(keys=None, declared=(), elsewhere=()) -> list:
    """The bindings that nothing has read since the configuration was last cleared.

    Args:
        keys: look at these only, a set as `changed_since` gives it; None: at all.
        declared: macros that may go unread (the slots: `d_ff_gated` without a gated unit is fine).
        elsewhere: keys that code reads which was not run, as `reachable.reachable_keys` finds them.

    Returns:
        A sorted list of DeadBinding.
    """
    read, entered = _what_was_read()
    roots = {RUN} | TPU_ONLY | (_functions_of_the_run() - set(entered))
    dead = []
    for key in snapshot():
        scope, selector, parameter = key
        if key in read or key in elsewhere or (selector in roots and not scope):
            continue
        if keys is not None and key not in keys:
            continue
        if selector == MACRO and scope in declared:
            continue
        dead.append(DeadBinding(scope, selector, parameter, _reason(scope, selector, entered)))
    return sorted(dead)


def _what_was_read():
    """(the keys of live bindings, {selector: scopes in which it was called})."""
    read, entered = set(), {}
    for (scope, selector), parameters in gin_state.recorded_calls().items():
        outer = prefixes(scope)
        entered.setdefault(selector, set()).update(outer)
        for parameter in parameters:
            owners = [s for s in outer if parameter in gin_state.bindings_of(s, selector)]
            if owners:
                read.add((owners[-1], selector, parameter))
    return read, entered


def _functions_of_the_run():
    """The selectors of what gin binds to the RUN_CALLS."""
    values = (gin_state.bindings_of("", RUN).get(parameter) for parameter in RUN_CALLS)
    references = (v for v in values if isinstance(v, gin.config.ConfigurableReference))
    return {reference.configurable.selector for reference in references}


def prefixes(scope) -> list:
    """`a/b` -> `["", "a", "a/b"]`."""
    parts = scope.split("/") if scope else []
    return ["/".join(parts[:end]) for end in range(len(parts) + 1)]


def _reason(scope, selector, entered):
    if selector == MACRO:
        return "no binding in effect reads this macro"
    if scope and scope not in set().union(*(entered[s] for s in entered if s != MACRO)):
        return SCOPE_NEVER_ENTERED
    if selector not in entered:
        return "never called"
    if scope not in entered[selector]:
        return "never called in its scope"
    return "the caller passes another value, or an inner scope binds it"
