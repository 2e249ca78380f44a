"""The lists of constraints/ are complete, and within the ranges of setup.py."""

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
    "current-py310": ("3.10", {"test", "lint"}),
    "current-py311": ("3.11", {"test", "lint"}),
    "current-py312": ("3.12", {"test", "lint"}),
    "current-py313": ("3.13", {"test", "lint"}),
    "tpu-py310": ("3.10", {"test", "tpu"}),
    "tpu-py311": ("3.11", {"test", "tpu"}),
}


def read_lock(name):
    """Returns {package: version}; every line must name one exact version."""
    lines = (FOLDER / f"{name}.txt").read_text().splitlines()
    pins = [re.fullmatch(r"([a-z0-9-]+)==(\S+)", line) for line in lines if line[0] != "#"]
    assert all(pins), name
    return {pin[1]: pin[2] for pin in pins}


def dropped():
    lines = (FOLDER / "dropped.txt").read_text().splitlines()
    return {Requirement(line).name for line in lines if line and line[0] != "#"}


def applies(requirement, python, extras):
    """Whether a requirement holds on this Python, without extras or with any of these."""
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


def test_every_python_of_both_tracks_has_a_list():
    files = {path.stem for path in FOLDER.glob("*-py*.txt")}
    assert files == set(LOCKS)


@pytest.mark.parametrize("name", LOCKS)
def test_a_list_has_every_requirement_of_setup_within_its_range(name, requirements):
    python, extras = LOCKS[name]
    pins = read_lock(name)
    needed = [item for item in requirements if applies(item, python, extras)]
    assert len(needed) > len(extras) + 10
    for requirement in needed:
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), requirement


@pytest.mark.parametrize("name", LOCKS)
def test_a_list_has_one_distribution_for_each_folder_and_the_tensorflow_of_its_track(name):
    pins = read_lock(name)
    assert {"seqio", "seqio-nightly"} & set(pins) == {"seqio-nightly"}
    assert {"tensorflow-datasets", "tfds-nightly"} & set(pins) == {"tensorflow-datasets"}
    assert not {"torch", "transformers"} & set(pins)
    assert not dropped() & set(pins)
    expected = ("2.15.1", "2.15.0") if name.startswith("tpu") else ("2.21.", "2.21.")
    assert pins["tensorflow"].startswith(expected[0])
    assert pins["tensorflow-text"].startswith(expected[1])


def installed_list():
    """Returns the name of the list that this environment was made from, or None."""
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


def test_the_list_of_this_environment_lacks_only_the_dropped_packages():
    """In a locked environment `pip check` misses the packages of dropped.txt and no others."""
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
