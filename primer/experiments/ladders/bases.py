"""The activation that the file of an architecture names as its own."""

import os
import re

from primer.errors import UsageError
from primer.gin_config import config_files
from primer.launch import train

# "Needs defaults.gin, activations/swiglu.gin and a size", in the comment at the head of a file.
_NEEDS = re.compile(r"# Needs defaults\.gin,[^.]*?activations/(\w+)\.gin", re.DOTALL)


def activation_of(architecture: str) -> str:
    """Returns the activation of an architecture, a name of activations/.

    Args:
        architecture: a name of architectures/, or the path of a gin file.

    Raises:
        UsageError: there is no such architecture, or its file names no activation.
    """
    file = architecture
    if not file.endswith(".gin"):
        file = config_files.gin_file(train.PARTS["architecture"], architecture)
    path = os.path.join(config_files.gin_directory(), train.require_gin_file(file, "--base"))
    with open(path, encoding="utf-8") as lines:
        match = _NEEDS.search(lines.read())
    if match is None:
        names = ", ".join(config_files.names_of_kind(train.PARTS["activation"]))
        raise UsageError(
            f"--base {architecture}: its file names no activation; set --activation, one of {names}"
        )
    return match[1]
