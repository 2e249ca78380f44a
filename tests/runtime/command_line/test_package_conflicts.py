"""The check for package folders that two installed distributions have overwritten."""

import base64
import hashlib
import subprocess
import sys
import zipfile

import pytest

from primer.runtime.command_line import package_conflicts

NIGHTLY = {"seqio/__init__.py": "kind = 'n'\n", "seqio/version.py": "v = '1'\n"}
# version.py has the nightly's size: only its hash tells it apart.
RELEASE = {"seqio/__init__.py": "kind = 'n'\n", "seqio/version.py": "v = '2'\n"}


def record_line(name, content):
    digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest())
    return f"{name},sha256={digest.rstrip(b'=').decode()},{len(content)}\n"


def metadata_of(name, version, files):
    """Returns the files of a distribution's dist-info folder."""
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    text = {
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{folder}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(record_line(*item) for item in {**files, **text}.items())
    return {**text, f"{folder}/RECORD": record + f"{folder}/RECORD,,\n"}


def write(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty site-packages, the only folder that imports and metadata search."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "seqio", raising=False)
    monkeypatch.delitem(sys.modules, "tensorflow_datasets", raising=False)
    return tmp_path


def install(site, name, version, files):
    write(site, files)
    write(site, metadata_of(name, version, files))


def test_packages_that_are_not_installed_do_not_conflict(site):
    assert package_conflicts.find_conflict() is None


def test_one_complete_copy_does_not_conflict(site):
    install(site, "seqio-nightly", "1.0", NIGHTLY)
    assert package_conflicts.find_conflict() is None


def test_two_distributions_do_not_conflict_if_the_intended_one_was_installed_last(site):
    install(site, "seqio", "2.0", RELEASE)
    install(site, "seqio-nightly", "1.0", NIGHTLY)
    assert package_conflicts.find_conflict() is None


def test_a_file_of_equal_size_from_the_other_distribution_conflicts(site):
    install(site, "seqio-nightly", "1.0", NIGHTLY)
    install(site, "seqio", "2.0", RELEASE)
    message = package_conflicts.find_conflict()
    assert "\n" not in message
    assert f"{site / 'seqio/version.py'} is not the file of seqio-nightly 1.0" in message
    assert "whose folder seqio 2.0 installs too" in message
    assert message.endswith(
        f"Repair: {sys.executable} -m pip uninstall -y seqio seqio-nightly"
        f" && {sys.executable} -m pip install --no-deps seqio-nightly==1.0"
    )


def test_the_release_of_tensorflow_datasets_is_the_intended_one(site):
    files = {"tensorflow_datasets/core.py": "x = 1\n", "tensorflow_datasets/__init__.py": ""}
    install(site, "tensorflow-datasets", "4.9.10", files)
    install(site, "tfds-nightly", "4.9.2", {**files, "tensorflow_datasets/core.py": "x = 10\n"})
    message = package_conflicts.find_conflict()
    assert "core.py is not the file of tensorflow-datasets 4.9.10" in message
    assert "uninstall -y tfds-nightly tensorflow-datasets" in message


@pytest.mark.parametrize("removed", ["seqio/version.py", "seqio/__init__.py"])
def test_a_file_that_another_uninstallation_removed_conflicts(site, removed):
    install(site, "seqio-nightly", "1.0", NIGHTLY)
    (site / removed).unlink()
    message = package_conflicts.find_conflict()
    assert removed in message
    assert message.endswith("--no-deps seqio-nightly==1.0")


def test_a_source_checkout_before_the_installed_copy_does_not_conflict(site, tmp_path_factory):
    checkout = tmp_path_factory.mktemp("checkout")
    write(checkout, RELEASE)
    install(site, "seqio-nightly", "1.0", NIGHTLY)
    (site / "seqio/version.py").write_text("v = '123'\n")
    assert package_conflicts.find_conflict() is not None
    sys.path.insert(0, str(checkout))
    assert package_conflicts.find_conflict() is None


def test_the_environment_of_these_tests_is_consistent_and_checked_within_50_ms():
    code = (
        "import sys, time, importlib.metadata\n"
        "from primer.runtime.command_line import package_conflicts\n"
        "begin = time.process_time()\n"
        "message = package_conflicts.find_conflict()\n"
        "print(time.process_time() - begin, 'tensorflow' in sys.modules, message)\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.split(maxsplit=2)
        for _ in range(3)
    ]
    assert min(float(seconds) for seconds, _, _ in runs) < 0.05
    assert {(loaded, message.strip()) for _, loaded, message in runs} == {("False", "None")}


def make_wheel(folder, name, version, files):
    wheel = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in {**files, **metadata_of(name, version, files)}.items():
            archive.writestr(path, content)


@pytest.mark.slow
def test_the_repair_command_repairs(tmp_path, monkeypatch):
    """pip mixes two copies, and the printed command leaves one complete copy."""
    make_wheel(tmp_path, "seqio-nightly", "1.0", NIGHTLY)
    make_wheel(tmp_path, "seqio", "2.0", {**RELEASE, "seqio/more.py": ""})
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = str(tmp_path / "env" / "bin" / "python")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    for name in ("seqio-nightly==1.0", "seqio==2.0"):
        subprocess.run([python, "-m", "pip", "install", "-q", name], check=True)
    message = conflict_found_by(python)
    assert "is not the file of seqio-nightly 1.0" in message
    subprocess.run(message.partition("Repair: ")[2], shell=True, check=True)
    assert conflict_found_by(python) == "None"
    site = next((tmp_path / "env").glob("lib/python3*/site-packages"))
    assert not (site / "seqio" / "more.py").exists()


def conflict_found_by(python):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from primer.runtime.command_line import package_conflicts\n"
        "print(package_conflicts.find_conflict())\n"
    )
    root = str(package_conflicts.__file__).rsplit("/primer/", 1)[0]
    run = subprocess.run(
        [python, "-I", "-c", code, root], check=True, stdout=subprocess.PIPE, text=True
    )
    return run.stdout.strip()
