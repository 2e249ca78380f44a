"""The exact versions of constraints/ are what the ranges of setup.py allow, and complete."""

import email
import importlib.metadata
import re
import sys
import zipfile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.packaging.source_tree import ROOT

FOLDER = ROOT / "constraints"
LOCKS = {
    "current-py310": ("3.10", {"test"}),
    "current-py311": ("3.11", {"test"}),
    "current-py312": ("3.12", {"test"}),
    "current-py313": ("3.13", {"test"}),
    "tpu-py310": ("3.10", {"test", "tpu"}),
    "tpu-py311": ("3.11", {"test", "tpu"}),
}


def read_lock(name):
    """Returns {package: version}; every line has to be exact."""
    lines = (FOLDER / f"{name}.txt").read_text().splitlines()
    pins = [re.fullmatch(r"([a-z0-9-]+)==(\S+)", line) for line in lines if line[0] != "#"]
    assert all(pins), name
    return {pin[1]: pin[2] for pin in pins}


def dropped():
    lines = (FOLDER / "dropped.txt").read_text().splitlines()
    return {Requirement(line).name for line in lines if line and line[0] != "#"}


def applies(requirement, python, extras):
    """Whether a requirement is one on this Python with any of these extras (or without)."""
    full = f"{python}.0"
    versions = {"python_version": python, "python_full_version": full, "sys_platform": "linux"}
    return requirement.marker is None or any(
        requirement.marker.evaluate({**versions, "extra": extra}) for extra in ("", *extras)
    )


@pytest.fixture(scope="session")
def requirements(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
    return [Requirement(text) for text in metadata.get_all("Requires-Dist")]


def test_there_is_a_list_for_every_python_of_both_tracks():
    files = {path.stem for path in FOLDER.glob("*-py*.txt")}
    assert files == set(LOCKS)


@pytest.mark.parametrize("name", LOCKS)
def test_a_list_has_what_setup_asks_for_in_its_ranges(name, requirements):
    python, extras = LOCKS[name]
    pins = read_lock(name)
    asked = [item for item in requirements if applies(item, python, extras)]
    assert len(asked) > len(extras) + 10
    for requirement in asked:
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), requirement


@pytest.mark.parametrize("name", LOCKS)
def test_a_list_has_one_owner_of_each_folder_and_its_own_tensorflow(name):
    pins = read_lock(name)
    assert {"seqio", "seqio-nightly"} & set(pins) == {"seqio-nightly"}
    assert {"tensorflow-datasets", "tfds-nightly"} & set(pins) == {"tensorflow-datasets"}
    assert not {"torch", "transformers"} & set(pins)
    assert not dropped() & set(pins)
    expected = ("2.15.1", "2.15.0") if name.startswith("tpu") else ("2.21.", "2.21.")
    assert pins["tensorflow"].startswith(expected[0])
    assert pins["tensorflow-text"].startswith(expected[1])


def installed_list():
    """The name of the list that this environment was made from, or None."""
    tag = f"py{sys.version_info.major}{sys.version_info.minor}"
    for name in (f"current-{tag}", f"tpu-{tag}"):
        versions = {package: _installed(package) for package in read_lock(name)}
        if versions == read_lock(name):
            return name
    return None


def _installed(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def test_this_environments_list_leaves_out_only_what_it_says():
    """What `pip check` would say of a locked environment: only the dropped ones are missing."""
    name = installed_list()
    if name is None:
        pytest.skip("this environment was not made from a list of constraints/")
    pins = read_lock(name)
    python = LOCKS[name][0]
    missing, unfit = set(), []
    for package in pins:
        for text in importlib.metadata.requires(package) or []:
            requirement = Requirement(text)
            needed = canonicalize_name(requirement.name)
            if not applies(requirement, python, ()):
                continue
            if needed not in pins:
                missing.add(needed)
            elif not requirement.specifier.contains(pins[needed], prereleases=True):
                unfit.append(f"{package}: {text}")
    assert missing == {canonicalize_name(name) for name in dropped()}
    assert not unfit
