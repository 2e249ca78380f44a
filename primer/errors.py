"""The two errors that end a command of Primer early; each prints one line."""


class UsageError(Exception):
    """A setting, a file or a combination of them that cannot work; the command exits with code 2.

    The message is one line: the setting, its value, what was expected, and how to correct it.
    """

    exit_code = 2


class RunError(Exception):
    """A failure of work that was requested correctly; the command exits with code 1."""

    exit_code = 1
