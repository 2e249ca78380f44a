"""`primer sweep run FILE WORKERS [ADDRESS]` with the stand-in for the engine, to be killed.

With the address of a Ray cluster it trains there.
"""

import os
import sys

from primer.commands import sweep as command
from primer.commands.sweep_engine import Engine
from primer.experiments.sweeps import expansion, local_runs, sweep_file
from primer.experiments.sweeps.workers.ray_cluster.request import Request
from tests.experiments.sweeps import stand_in

PROGRAM = (sys.executable, os.path.abspath(stand_in.__file__))


local_runs.POLL_SECONDS = 0.05  # The stand-in takes less than a second.
EVALUATION = (*PROGRAM, "eval")


def train(path, workers=None, index=None, trains=True, address=None, **options):
    sweep = sweep_file.read(str(path))
    runs = expansion.expand(sweep)
    where = None
    if address:
        from primer.experiments.sweeps.workers.ray_cluster import ray_worker

        ray_worker.ASK_SECONDS = 0.05
        where = Engine(Request(address, **options))
    return command.train(sweep, runs, workers, index, PROGRAM, EVALUATION, trains, where)


if __name__ == "__main__":
    code = train(sys.argv[1], int(sys.argv[2]), address="".join(sys.argv[3:]) or None)
    assert "tensorflow" not in sys.modules
    sys.exit(code)
