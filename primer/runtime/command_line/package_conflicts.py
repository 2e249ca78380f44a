"""Detects packages whose folder two installed distributions have overwritten.

t5 and seqio require `tfds-nightly`, Mesh-TensorFlow and Primer `tensorflow-datasets`. Both install
the folder `tensorflow_datasets`, and a plain `pip install` leaves a mixture of their files. The
make targets install a locked list with only one of them. After any other installation
`find_conflict` compares the files that would be imported with the list of files (RECORD) of their
distribution, and names the command that restores one complete copy.

The check imports neither TensorFlow nor the packages that it checks: it compares file sizes and one
hash, in about 20 milliseconds.
"""

import base64
import hashlib
import importlib.metadata
import importlib.util
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution

# Package folder -> the distributions that install it; the first one installed is the intended one.
OWNERS = {
    "seqio": ("seqio-nightly", "seqio"),
    "tensorflow_datasets": ("tensorflow-datasets", "tfds-nightly"),
}


def find_conflict() -> str | None:
    """Returns one line that names an overwritten package and the repair command, or None."""
    for package, names in OWNERS.items():
        message = _check_package(package, names)
        if message:
            return message
    return None


def _check_package(package: str, names: Sequence[str]) -> str | None:
    owners = _owners(package, names)
    if not owners:
        return None  # Not installed, or a source checkout, which has no RECORD.
    file = _first_foreign_file(owners[0], package)
    return None if file is None else _message(package, file, owners)


def _owners(package: str, names: Sequence[str]) -> list[Distribution]:
    """Returns the installed distributions among `names` whose folder an import would use."""
    imported = _imported_folder(package)
    found = []
    for name in names:
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        folder = os.path.realpath(str(distribution.locate_file(package)))
        if imported in (None, folder):
            found.append(distribution)
    return found


def _imported_folder(package: str) -> str | None:
    """Returns the folder that an import would use, or None if it has no __init__.py."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return os.path.dirname(os.path.realpath(spec.origin))


def _first_foreign_file(distribution: Distribution, package: str) -> str | None:
    """Returns the path of the first Python file that differs from the RECORD, or None.

    Comparing sizes detects nearly every other release of a file, at the cost of one stat. The size
    of version.py is often the same in two releases, so it is hashed.
    """
    root = str(distribution.locate_file(""))
    for name, digest, size in _python_files(distribution, package):
        path = os.path.join(root, name)
        try:
            if os.stat(path).st_size != size:
                return path
            if name == f"{package}/version.py" and _sha256(path) != digest:
                return path
        except FileNotFoundError:
            return path
    return None


def _python_files(distribution: Distribution, package: str) -> Iterator[tuple[str, str, int]]:
    """Yields (name, "sha256=...", size in bytes) of the package's Python files in the RECORD."""
    for line in (distribution.read_text("RECORD") or "").splitlines():
        if line.startswith(package + "/") and ".py," in line:
            name, digest, size = line.rsplit(",", 2)
            if size:
                yield name, digest, int(size)


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _message(package: str, file: str, owners: Sequence[Distribution]) -> str:
    intended, others = owners[0], owners[1:]
    cause = "".join(f", whose folder {_label(other)} installs too" for other in others)
    return (
        f"The installed copy of {package} is inconsistent: {file} is not the file of "
        f"{_label(intended)}{cause}. "
        f"Repair: {repair_command(intended, others)}"
    )


def _label(distribution: Distribution) -> str:
    return f"{distribution.metadata['Name']} {distribution.version}"


def repair_command(intended: Distribution, others: Sequence[Distribution]) -> str:
    """Returns the shell command that reinstalls `intended` and removes the `others`."""
    pip = f"{shlex.quote(sys.executable)} -m pip"
    names = " ".join(owner.metadata["Name"] for owner in (*others, intended))
    requirement = f"{intended.metadata['Name']}=={intended.version}"
    return f"{pip} uninstall -y {names} && {pip} install --no-deps {requirement}"
