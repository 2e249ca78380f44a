"""Writes the locked lists of this folder: `make locks` runs it with uv in a throw-away environment.

Each list is what setup.py resolves to for one Python and one track on Linux x86-64, without the
packages of dropped.txt. It is installed with `--no-deps`, so that what t5 asks for and nobody
imports stays out, and each folder of site-packages has one owner.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

# track -> (extras of setup.py, Pythons). With Beam and lm-eval, so that they are tested with.
TRACKS = {
    "current": (("test", "beam", "lm-eval"), ("3.10", "3.11", "3.12", "3.13")),
    "tpu": (("test", "tpu"), ("3.10", "3.11")),
}

HEADER = """\
# {track} track, Python {python}, Linux x86-64. Written by `make locks`; do not edit.
# Install with: pip install --no-deps -r {name}
"""


def lock(uv, track, extras, python):
    """Resolves one list and writes it; raises CalledProcessError when nothing fits."""
    target = HERE / f"{track}-py{python.replace('.', '')}.txt"
    command = [uv, "pip", "compile", "--quiet", "--upgrade", "--no-header", "--no-annotate"]
    command += ["--python-version", python, "--python-platform", "x86_64-manylinux_2_28"]
    command += ["--override", str(HERE / "dropped.txt")]
    for extra in extras:
        command += ["--extra", extra]
    resolved = subprocess.run(
        [*command, "setup.py"], cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    header = HEADER.format(track=track, python=python, name=f"constraints/{target.name}")
    target.write_text(header + resolved)
    print(f"{target.name}: {len(resolved.splitlines())} packages")


def main():
    uv = sys.argv[1] if len(sys.argv) > 1 else "uv"
    for track, (extras, pythons) in TRACKS.items():
        for python in pythons:
            lock(uv, track, extras, python)


if __name__ == "__main__":
    main()
