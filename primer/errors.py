"""The two ways in which a command of Primer ends early, each with one clear message."""


class UsageError(Exception):
    """A setting, a file or a combination of them that cannot work; the command exits with code 2.

    The message is one line: the setting, its value, what was expected and the way out.
    """

    exit_code = 2


class RunError(Exception):
    """Work that was asked for correctly and failed; the command exits with code 1."""

    exit_code = 1
