r"""Paths of checkpoints without the characters of patterns, for TensorFlow's readers.

TensorFlow's readers of checkpoints take `<path>.index` for a pattern before they open it, so they
find no checkpoint in a directory `lr[0.1]`, and have no way to escape the name. They read such a
directory through a link in the folder of temporary files.
"""

import atexit
import os
import shutil
import tempfile

from primer.common import user_paths
from primer.errors import UsageError

# Directory -> the link to it. One dict for the process: a reader opens its files when a value is
# first read, so a link stays as long as the process.
_links: dict[str, str] = {}


def readable(path: str) -> str:
    """Returns a path of the same checkpoint that TensorFlow does not take for a pattern.

    Raises:
        UsageError: as `require_plain_name`, for a remote directory.
    """
    directory, name = os.path.split(path)
    return os.path.join(readable_directory(directory), name)


def readable_directory(directory: str) -> str:
    """Returns a path of the same directory that TensorFlow does not take for a pattern.

    Raises:
        UsageError: as `require_plain_name`, for a remote directory.
    """
    if not user_paths.is_pattern(directory):
        return directory
    if user_paths.is_remote(directory):
        require_plain_name(directory)
    return _link(os.path.abspath(directory))


def require_plain_name(directory: str) -> None:
    """Raises UsageError for a directory whose name TensorFlow takes for a pattern."""
    if user_paths.is_pattern(directory):
        raise UsageError(
            f"{directory} has one of the characters * ? [ \\ in its name, which TensorFlow takes "
            "for a pattern here; rename the directory"
        )


def _link(directory):
    link = _links.get(directory)
    if link is None or not os.path.islink(link):
        folder = tempfile.mkdtemp(prefix="primer-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)  # Does not follow the link.
        link = _links[directory] = os.path.join(folder, "directory")
        os.symlink(directory, link)
    return link
