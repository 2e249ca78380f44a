"""What the make targets run, with an interpreter that only records its calls."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.packaging.source_tree import ROOT, clean_environment

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

# Replaces python3, the python of an environment, and the commands installed in it.
INTERPRETER = """\
#!/bin/sh
[ "$1" = -c ] && {{ echo {tag}; exit; }}
echo "$(basename "$0") $*" >> {log}
[ "$1 $2" = "-m venv" ] && {{
    mkdir -p $3/bin
    for name in python uv ruff mypy; do cp "$0" $3/bin/$name; done
}}
case "$*" in *"$FAIL"*) [ -n "$FAIL" ] && exit 1;; esac
exit 0
"""


class Checkout:
    """A copy of the build files in which `make` records the commands that it would run."""

    def __init__(self, folder, tag="py311"):
        self.folder = folder
        self.log = folder / "log"
        shutil.copytree(ROOT / "constraints", folder / "constraints")
        for name in ("Makefile", "setup.py", "pyproject.toml"):
            shutil.copy(ROOT / name, folder / name)
        self.python = folder / "python3"
        self.python.write_text(INTERPRETER.format(tag=tag, log=self.log))
        self.python.chmod(0o755)

    def make(self, *arguments, fail=""):
        """Returns (whether it succeeded, the recorded calls, all output)."""
        self.log.write_text("")
        run = subprocess.run(
            ["make", *arguments, f"PYTHON={self.python}"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env=clean_environment(FAIL=fail, MAKEFLAGS=""),
        )
        return run.returncode == 0, self.log.read_text().splitlines(), run.stdout + run.stderr


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def makes_environment(calls):
    return any("-m venv" in call for call in calls)


def test_an_environment_is_made_once_from_the_list_of_this_python(checkout):
    done, calls, text = checkout.make("env")
    assert done, text
    assert [call.split()[0] for call in calls] == ["python3", "python3", "python", "uv", "python"]
    assert "--no-deps" in calls[3] and calls[3].endswith("-r constraints/current-py311.txt")
    assert "--no-deps" in calls[4] and calls[4].endswith("--no-build-isolation --editable .")
    assert "current-py311.txt" in text
    assert checkout.make("env")[:2] == (True, [])


def test_a_changed_list_makes_a_new_environment(checkout):
    checkout.make("env")
    (checkout.folder / ".venv" / "left-over").write_text("")
    later = checkout.log.stat().st_mtime + 10
    os.utime(checkout.folder / "constraints" / "current-py311.txt", (later, later))
    done, calls, _ = checkout.make("env")
    assert done and makes_environment(calls)
    assert not (checkout.folder / ".venv" / "left-over").exists()


def test_changed_metadata_reinstalls_only_the_project(checkout):
    checkout.make("env")
    later = checkout.log.stat().st_mtime + 10
    os.utime(checkout.folder / "setup.py", (later, later))
    done, calls, _ = checkout.make("env")
    assert done and len(calls) == 1 and calls[0].endswith("--editable .")


@pytest.mark.parametrize("step", ["-r constraints", "-m venv"])
def test_an_incomplete_environment_is_made_again(checkout, step):
    assert not checkout.make("env", fail=step)[0]
    done, calls, _ = checkout.make("env")
    assert done and makes_environment(calls)


def test_a_moved_checkout_makes_a_new_environment(checkout, tmp_path_factory):
    checkout.make("env")
    moved = tmp_path_factory.mktemp("moved") / "checkout"
    shutil.copytree(checkout.folder, moved, symlinks=True)
    checkout.folder = moved
    assert makes_environment(checkout.make("env")[1])


def test_pip_installs_if_uv_fails(checkout):
    done, calls, text = checkout.make("env", fail="--compile-bytecode")
    assert done, text
    assert "uv failed" in text
    assert calls[4].startswith("python -m pip") and calls[4].endswith("current-py311.txt")


def test_the_other_track_is_skipped_with_a_message_where_it_is_not_available(tmp_path):
    checkout = Checkout(tmp_path, tag="py313")
    (tmp_path / "tests" / "tpu_track").mkdir(parents=True)
    (tmp_path / "tests" / "tpu_track" / "test_smoke.py").write_text("")
    done, calls, text = checkout.make("test")
    assert done, text
    assert "needs Python 3.10 or 3.11" in text
    assert sum("-m pytest" in call for call in calls) == 1
    assert not (tmp_path / ".venv-tpu").exists()


def test_the_other_track_is_tested_where_it_is_available(checkout):
    (checkout.folder / "tests" / "tpu_track").mkdir(parents=True)
    (checkout.folder / "tests" / "tpu_track" / "test_smoke.py").write_text("")
    done, calls, text = checkout.make("test", "PYTEST_ARGS=-x")
    assert done, text
    assert "python -m pytest -n auto --dist=loadfile -x" in calls
    assert calls[-1] == "python -m pytest -m tpu_track and not slow tests/tpu_track -x"
    assert (checkout.folder / ".venv-tpu" / "bin" / "python").exists()


def test_lint_runs_all_three_checks_and_writes_no_file(checkout):
    checkout.make("env")
    done, calls, text = checkout.make("lint")
    assert done, text
    assert calls == ["ruff check .", "ruff format --check .", "mypy "]


@pytest.mark.parametrize("failing", ["check .", "format --check ."])
def test_lint_fails_if_a_check_fails(checkout, failing):
    checkout.make("env")
    assert not checkout.make("lint", fail=failing)[0]


def test_format_rewrites_files(checkout):
    checkout.make("env")
    assert checkout.make("format")[1] == ["ruff check --fix .", "ruff format ."]


@pytest.mark.parametrize("keep, option", [("", []), ("KEEP=1", ["--keep"])])
def test_locks_resolves_all_versions_or_only_new_ones(checkout, keep, option):
    done, calls, text = checkout.make("locks", *filter(None, [keep]))
    assert done, text
    script = "python constraints/lock.py"
    assert calls[-1] == " ".join([script, *option, "build/locks/bin/uv"])


def test_a_failed_test_fails_the_target(checkout):
    checkout.make("env")
    assert not checkout.make("test", fail="-m pytest")[0]


@pytest.mark.parametrize(
    "lock, expected",
    [
        ("constraints/current-py39.txt", "the current track needs 3.10 to 3.13"),
        ("constraints/tpu-py313.txt", "the tpu track needs 3.10 or 3.11"),
    ],
)
def test_a_python_without_a_list_prints_the_supported_versions(lock, expected):
    script = str(ROOT / "constraints" / "check_python.py")
    run = subprocess.run([sys.executable, script, lock], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.startswith("error: ") and expected in run.stderr


def test_a_python_without_venv_prints_the_missing_package(tmp_path):
    """Debian's python3 has venv in a separate package."""
    (tmp_path / "ensurepip.py").write_text("raise ImportError")
    script = str(ROOT / "constraints" / "check_python.py")
    run = subprocess.run(
        [sys.executable, script, "constraints/current-py311.txt"],
        capture_output=True,
        text=True,
        env=clean_environment(PYTHONPATH=str(tmp_path)),
    )
    assert run.returncode == 1
    assert f"apt-get install python3.{sys.version_info.minor}-venv" in run.stderr
