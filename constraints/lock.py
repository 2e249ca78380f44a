"""Writes the locked lists of this folder; `make locks` runs it with uv in a temporary environment.

Each list is what setup.py resolves to for one Python and one track on Linux x86-64, without the
packages of dropped.txt. It is installed with `--no-deps`: packages that t5 requires but nothing
imports stay out, and each folder of site-packages belongs to one distribution.
"""

import argparse
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent

# track -> (extras of setup.py, Pythons). Beam, lm-eval, ortools, Ray and tokenizers are included so
# that they are tested. The linters run on the current track only.
TRACKS = {
    "current": (
        ("test", "lint", "beam", "lm-eval", "auto-layout", "ray", "huggingface"),
        ("3.10", "3.11", "3.12", "3.13"),
    ),
    "tpu": (("test", "tpu"), ("3.10", "3.11")),
}

HEADER = """\
# {track} track, Python {python}, Linux x86-64. Written by `make locks`; do not edit.
# Install with: pip install --no-deps -r {name}
"""


def lock(uv: str, track: str, extras: tuple[str, ...], python: str, keep: bool) -> None:
    """Resolves one list and writes it.

    Args:
        uv: the command that resolves.
        track: a key of TRACKS.
        extras: the extras of setup.py that the list includes.
        python: the version of Python, as "3.11".
        keep: whether the versions of the existing list stay, so that only packages that it
            lacks are resolved.

    Raises:
        subprocess.CalledProcessError: no set of versions fits.
    """
    target = HERE / f"{track}-py{python.replace('.', '')}.txt"
    command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    command += ["--constraint", str(target)] if keep and target.exists() else ["--upgrade"]
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


def main() -> None:
    """Writes all lists."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("uv", nargs="?", default="uv", help="the uv command")
    parser.add_argument("--keep", action="store_true", help="keep the versions already listed")
    options = parser.parse_args()
    for track, (extras, pythons) in TRACKS.items():
        for python in pythons:
            lock(options.uv, track, extras, python, options.keep)


if __name__ == "__main__":
    main()
