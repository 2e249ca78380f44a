"""`primer sweep run FILE WORKERS` with the stand-in for the engine, as a process to be killed."""

import os
import sys

from primer.commands import sweep as command
from primer.experiments.sweeps import expansion, sweep_file
from tests.experiments.sweeps import stand_in

PROGRAM = (sys.executable, os.path.abspath(stand_in.__file__))


def train(path, workers=None, index=None):
    sweep = sweep_file.read(str(path))
    return command.train(sweep, expansion.expand(sweep), workers, index, PROGRAM)


if __name__ == "__main__":
    sys.exit(train(sys.argv[1], int(sys.argv[2])))
