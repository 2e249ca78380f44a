"""Checks before any long work, and explanations of errors in its midst; others register theirs.

The runtime may not import data and evaluation, so `t5_imports` brings both together.
"""

_checks = []


def register(check):
    """Adds a function of the mode ("train", "perplexity_eval", ...) that raises UsageError."""
    if check not in _checks:
        _checks.append(check)
    return check


def run_all(mode):
    """Runs every check, in the order in which they came."""
    for check in _checks:
        check(mode)


_explanations = []


def explain_with(explain):
    """Adds a function of an error that gives a RunError that says more, or None; returns it."""
    if explain not in _explanations:
        _explanations.append(explain)
    return explain


def explained(error):
    """What a function that was added makes of an error in the midst of a run; None for nothing."""
    found = (explain(error) for explain in _explanations)
    return next(filter(None, found), None)
