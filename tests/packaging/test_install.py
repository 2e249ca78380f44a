"""`pip install .` and `pip install -e .` into empty virtual environments, and what works there.

Each resolves and downloads everything from the package index, as a user's installation does, and
takes some minutes. The tests run for every Python from 3.10 to 3.13 on the PATH.
"""

import shutil
import subprocess
import sys

import pytest

from tests.packaging.source_tree import clean_environment, copy_sources
from tests.packaging.test_wheel import HOOK_FILE

pytestmark = pytest.mark.slow


def pythons():
    """Returns {"3.11": path, ...}, without launchers that find no interpreter."""
    found = {}
    for minor in (10, 11, 12, 13):
        path = shutil.which(f"python3.{minor}")
        if path and _runs(path):
            found[f"3.{minor}"] = path
    here = f"3.{sys.version_info.minor}"
    return {here: sys.executable, **found}


def _runs(path):
    code = "import ensurepip, venv"
    return subprocess.run([path, "-c", code], capture_output=True, check=False).returncode == 0


PYTHONS = pythons()


class Environment:
    """A virtual environment into which `pip install <arguments>` installed the project."""

    def __init__(self, folder, interpreter, sources, *arguments):
        self.folder = folder
        subprocess.run([interpreter, "-m", "venv", str(folder)], check=True)
        self.pip("install", "--quiet", *arguments, cwd=sources)

    def run(self, program, *arguments, **options):
        """Runs a program of the environment, outside the sources unless `cwd` is given."""
        return subprocess.run(
            [str(self.folder / "bin" / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=clean_environment(),
            **{"cwd": self.folder, **options},
        )

    def pip(self, *arguments, **options):
        result = self.run("python", "-m", "pip", *arguments, **options)
        assert result.returncode == 0, result.stderr[-4000:]

    def ours(self):
        """Returns the names of the project's files and folders in site-packages."""
        (site,) = self.folder.glob("lib/python3*/site-packages")
        return sorted(p.name for p in site.iterdir() if "primer" in p.name or "t5_im" in p.name)


def check_installation(environment):
    """t5's command runs, also after t5 is installed again; an uninstallation leaves no file."""
    for again in (False, True):
        if again:
            environment.pip("install", "-q", "--force-reinstall", "--no-deps", "t5==0.9.4")
        helped = environment.run("t5_mesh_transformer", "--helpshort")
        assert helped.returncode == 1, helped.stderr[-4000:]  # absl's exit code for help
        assert "USAGE" in helped.stdout and "Traceback" not in helped.stderr
    assert environment.run("primer", "--help").returncode == 0
    assert HOOK_FILE in environment.ours()
    registered = environment.run("python", "-c", "import t5_imports")
    assert registered.returncode == 0, registered.stderr[-4000:]
    code = (
        "from primer.runtime.command_line import package_conflicts as c; print(c.find_conflict())"
    )
    assert environment.run("python", "-c", code).stdout.strip() == "None"
    assert "torch" not in environment.run("python", "-m", "pip", "freeze").stdout
    environment.pip("uninstall", "-y", "-q", "primer")
    assert environment.ours() == []
    assert environment.run("python", "-c", "print(1)").stderr == ""


@pytest.mark.parametrize("version", sorted(PYTHONS))
@pytest.mark.parametrize("arguments", [(".",), ("-e", ".")], ids=["plain", "editable"])
def test_installation_into_an_empty_environment(version, arguments, tmp_path):
    sources = copy_sources(tmp_path / "sources")
    environment = Environment(tmp_path / "env", PYTHONS[version], sources, *arguments)
    try:
        check_installation(environment)
    finally:
        shutil.rmtree(tmp_path / "env")  # Three gigabytes each.
