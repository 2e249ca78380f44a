"""Paths that users name: `~` is expanded, and an existing name is never taken for a pattern."""

import glob
import os
import re
from typing import IO

_SPECIAL = re.compile(r"[*?\[\\]")


def is_remote(path: str) -> bool:
    """Returns whether a path is a URL, as in `gs://bucket/runs`."""
    return "://" in path


def expand(path: str) -> str:
    """Returns a path with its leading `~` expanded; shells leave it in `--output=~/x`."""
    return path if is_remote(path) else os.path.expanduser(path)


def absolute(path: str) -> str:
    """Returns the absolute path, or absolute pattern, that means the same in any directory."""
    return path if is_remote(path) else os.path.abspath(expand(path))


def open_text(path: str) -> IO[str]:
    """Opens a text file, local or remote; only for a remote one is TensorFlow imported."""
    if not is_remote(path):
        return open(path, encoding="utf-8")
    import tensorflow as tf

    return tf.io.gfile.GFile(path)


def is_pattern(path: str) -> bool:
    r"""Returns whether a path has one of the characters of patterns: `*`, `?`, `[`, `\`."""
    return bool(_SPECIAL.search(path))


def local_matches(pattern: str) -> list[str]:
    """Returns the files that a local pattern matches, in any order.

    The leading part of the pattern that exists under exactly this name is not a pattern: `x[1]/*`
    lists the folder `x[1]` if there is one, else `x1`.

    Args:
        pattern: a path or pattern; `**` matches folders of any depth.
    """
    found = glob.glob(_escape_existing(expand(pattern)), recursive=True)
    return [path for path in found if os.path.isfile(path)]


def _escape_existing(pattern):
    """Escapes the leading folders of a pattern, and its last part, that exist as they are."""
    end = 0
    for separator in [*re.finditer("/+", pattern), None]:
        next_end = separator.start() if separator else len(pattern)
        if not os.path.exists(pattern[:next_end] or "/"):
            break
        end = next_end
    return glob.escape(pattern[:end]) + pattern[end:]
