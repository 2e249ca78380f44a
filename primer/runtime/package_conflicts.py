"""Notices when two distributions have written the same package folder over each other.

t5 and seqio ask for `tfds-nightly`, Mesh-TensorFlow and Primer for `tensorflow-datasets`; both are
the folder `tensorflow_datasets`, and a plain `pip install` leaves whichever of their files was
written last. The make targets install a locked list that has only one of them; after any other
installation `check` compares what would be imported with the list of files (RECORD) that its
distribution brought, and names the command that puts one whole copy back.

No TensorFlow, nothing imported of what is checked: file sizes and one hash, some 20 milliseconds.
"""

import base64
import hashlib
import importlib.metadata
import importlib.util
import os
import shlex
import sys

# Package folder -> the distributions that write it; the first that is installed has to own it.
OWNERS = {
    "seqio": ("seqio-nightly", "seqio"),
    "tensorflow_datasets": ("tensorflow-datasets", "tfds-nightly"),
}


def check() -> str | None:
    """Returns one line that says what is mixed and how to repair it, or None when nothing is."""
    for package, names in OWNERS.items():
        message = _check_package(package, names)
        if message:
            return message
    return None


def _check_package(package, names):
    owners = _owners(package, names)
    if not owners:
        return None  # Not installed, or somebody's own check-out, which no RECORD describes.
    file = _first_foreign_file(owners[0], package)
    return None if file is None else _message(package, file, owners)


def _owners(package, names):
    """The installed distributions among `names` whose folder is the one that is imported."""
    imported = _imported_folder(package)
    found = []
    for name in names:
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        folder = os.path.realpath(distribution.locate_file(package))
        if imported in (None, folder):
            found.append(distribution)
    return found


def _imported_folder(package):
    """Where an import would find the package; None where its __init__.py is gone."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return os.path.dirname(os.path.realpath(spec.origin))


def _first_foreign_file(distribution, package):
    """The first Python file that is not the one in the RECORD, or None.

    Sizes tell nearly all releases of a file apart, at the price of one stat; version.py, which
    keeps its size from one release to the next, is hashed.
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


def _python_files(distribution, package):
    """Yields (name, "sha256=...", bytes) of the package's Python files in the RECORD."""
    for line in (distribution.read_text("RECORD") or "").splitlines():
        if line.startswith(package + "/") and ".py," in line:
            name, digest, size = line.rsplit(",", 2)
            if size:
                yield name, digest, int(size)


def _sha256(path):
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _message(package, file, owners):
    intended, others = owners[0], owners[1:]
    cause = "".join(f", whose folder {_label(other)} writes as well" for other in others)
    return (
        f"The installed copy of {package} is not whole: {file} is not the file of "
        f"{_label(intended)}{cause}. "
        f"Repair: {repair_command(intended, others)}"
    )


def _label(distribution):
    return f"{distribution.metadata['Name']} {distribution.version}"


def repair_command(intended, others):
    """The shell line that leaves one whole copy: `intended`, without the `others`."""
    pip = f"{shlex.quote(sys.executable)} -m pip"
    names = " ".join(owner.metadata["Name"] for owner in (*others, intended))
    wanted = f"{intended.metadata['Name']}=={intended.version}"
    return f"{pip} uninstall -y {names} && {pip} install --no-deps {wanted}"
