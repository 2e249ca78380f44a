"""Helpers of the packaging tests: a copy of the sources, and builds of it with setuptools."""

import os
import shutil
import subprocess
import sys

from tests.paths import ROOT

PARTS = ("primer", "gin", "setup.py", "pyproject.toml", "t5_imports.py", "LICENSE", "README.md")
JUNK = shutil.ignore_patterns("__pycache__", "*.pyc")


def copy_sources(target):
    """Copies what an installation reads, so that a build writes nothing into the checkout."""
    target.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=JUNK)
        else:
            shutil.copy(source, target / part)
    return target


def build(sources, step, output):
    """Runs one hook of the build backend with this environment's setuptools; returns its file."""
    output.mkdir(exist_ok=True)
    code = f"import setuptools.build_meta as b; print(b.{step}({str(output)!r}))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=sources, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return output / run.stdout.splitlines()[-1]


def clean_environment(**more):
    """Returns the environment without the variables through which Python finds this checkout."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return {**kept, **more}
