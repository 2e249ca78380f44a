"""The line that every interpreter of the environment runs at its start is cheap and silent."""

import subprocess
import sys
import zipfile

import pytest

from tests.packaging.source_tree import ROOT, clean_environment
from tests.packaging.test_wheel import HOOK_FILE


def run(code, *flags, **environment):
    """Runs code in a bare interpreter (no site-packages, no own .pth files)."""
    return subprocess.run(
        [sys.executable, "-I", "-S", *flags, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(**environment),
    )


@pytest.fixture(scope="module")
def line(wheel):
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(HOOK_FILE).decode()
    assert text.count("\n") == 1
    assert text.startswith("import "), "site runs only lines that start with import"
    return text


def test_the_hook_imports_no_module():
    """importlib.abc alone costs 15 to 70 milliseconds: it imports tempfile, typing, random..."""
    result = run(
        "import sys; before = set(sys.modules)\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "import primer.runtime.import_hook; primer.runtime.import_hook.install()\n"
        "print(sorted(set(sys.modules) - before))"
    )
    assert result.stdout.strip() == "['primer', 'primer.runtime', 'primer.runtime.import_hook']"


def test_the_line_installs_the_finder_once(line):
    result = run(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        f"exec({line!r}); exec({line!r})\n"
        "modules = [type(finder).__module__ for finder in sys.meta_path]\n"
        "print(modules.count('primer.runtime.import_hook'))"
    )
    assert (result.stdout.strip(), result.stderr) == ("1", "")


def test_the_line_is_silent_without_the_package(line):
    result = run(f"exec({line!r}); print('started')")
    assert (result.stdout.strip(), result.stderr) == ("started", "")


def test_the_line_is_silent_for_a_broken_package(line, tmp_path):
    (tmp_path / "primer").mkdir()
    (tmp_path / "primer" / "__init__.py").write_text("1 / 0")
    result = run(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nexec({line!r}); print('up')")
    assert (result.stdout.strip(), result.stderr) == ("up", "")
