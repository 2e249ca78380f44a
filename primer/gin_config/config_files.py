"""Where the gin files are, which names they have, and how a name becomes a list of files."""

import os

from primer.errors import UsageError

KINDS = (
    "architectures",
    "activations",
    "sizes",
    "datasets",
    "objectives",
    "meshes",
    "run",
    "models",
)
DEFAULTS = "models/defaults.gin"


def gin_directory() -> str:
    """The absolute path of the folder of gin files.

    It is `gin/` beside the package in a checkout (and in an editable installation), and
    `primer/configs/` in an installed package.

    Raises:
        UsageError: neither is there.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    candidates = [os.path.join(os.path.dirname(package), "gin"), os.path.join(package, "configs")]
    for directory in candidates:
        # Another project may have a folder `gin` beside our package (site-packages/gin has).
        if os.path.isfile(os.path.join(directory, "defaults.gin")):
            return directory
    raise UsageError(
        f"Primer's gin files are missing: no defaults.gin in {' or '.join(candidates)}; "
        "install the package again"
    )


def names(kind: str) -> list:
    """The names that a folder of gin files offers, sorted, without `.gin` and without defaults.

    Args:
        kind: a folder below `gin_directory()`, such as "models" or "sizes".
    """
    directory = os.path.join(gin_directory(), kind)
    if not os.path.isdir(directory):
        return []
    files = (os.path.splitext(entry) for entry in os.listdir(directory))
    return sorted(stem for stem, extension in files if extension == ".gin" and stem != "defaults")


def find(kind: str, name: str) -> str:
    """The path of a gin file relative to `gin_directory()`, as `--gin_file` takes it.

    Raises:
        UsageError: there is no such file; the message lists the names that there are.
    """
    known = names(kind)
    if name not in known:
        raise UsageError(
            f"{kind}: no {name!r}; expected one of {', '.join(known) or '(none are installed)'}"
        )
    return f"{kind}/{name}.gin"


def model_files(model: str) -> list:
    """The gin files of a published model, defaults first.

    Args:
        model: a name such as "small_primer".

    Raises:
        UsageError: an unknown name; the message lists the known ones.
    """
    return [DEFAULTS, find("models", model)]


def compose(architecture: str, activation: str, size: str) -> list:
    """The gin files of any combination, defaults first.

    Raises:
        UsageError: an unknown name; the message lists the known ones.
    """
    return [
        DEFAULTS,
        find("architectures", architecture),
        find("activations", activation),
        find("sizes", size),
    ]
