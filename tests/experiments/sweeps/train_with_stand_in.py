"""`primer sweep run FILE WORKERS` with the stand-in for the engine, as a process to be killed."""

import os
import sys

from primer.commands import sweep as command
from primer.experiments.sweeps import expansion, local_runs, sweep_file
from tests.experiments.sweeps import stand_in

PROGRAM = (sys.executable, os.path.abspath(stand_in.__file__))


local_runs.POLL_SECONDS = 0.05  # The stand-in takes less than a second.
EVALUATION = (*PROGRAM, "eval")


def train(path, workers=None, index=None, trains=True):
    sweep = sweep_file.read(str(path))
    runs = expansion.expand(sweep)
    return command.train(sweep, runs, workers, index, PROGRAM, EVALUATION, trains)


if __name__ == "__main__":
    sys.exit(train(sys.argv[1], int(sys.argv[2])))
