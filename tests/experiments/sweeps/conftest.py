"""Sweeps of the stand-in for the engine, trained in this process or in one that is killed."""

import os
import subprocess
import sys

import pytest

from tests.paths import ROOT


@pytest.fixture
def sweep(write):
    """A function of axes, steps and further lines that writes a sweep's file; returns its path."""
    write("my.gin", 'behaviour = "trains"\nhandicap = 0\n')

    def written(axes, steps=5, more=""):
        fixed = "architecture: primer_ez, activation: relu, size: tiny, task: sotu"
        text = f"output: runs\nrun: {{{fixed}, steps: {steps}, gin_file: my.gin}}\naxes: [{axes}]\n"
        return write("s.yaml", text + more)

    return written


@pytest.fixture
def begin(tmp_path):
    """A function (file, workers, address) that begins to train in a process, until the test ends.

    The address is that of a Ray cluster, None for this machine.
    """
    begun = []

    def start(path, workers, address=None):
        words = [sys.executable, "-m", "tests.experiments.sweeps.train_with_stand_in"]
        with open(tmp_path / f"output{len(begun)}.txt", "w") as out:
            begun.append(
                subprocess.Popen(
                    [*words, path, str(workers), *filter(None, [address])],
                    stdout=out,
                    stderr=out,
                    cwd=ROOT,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                )
            )
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.wait()
