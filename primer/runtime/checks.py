"""Checks that run before any long work; data and evaluation register theirs here.

The runtime may not import them, so `t5_imports` brings both together.
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
