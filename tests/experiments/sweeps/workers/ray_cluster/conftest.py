"""A Ray cluster on this machine, with room for two runs of one processor and GPUs by name only."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

from primer.experiments.sweeps.workers import process_start
from tests.experiments.sweeps.running import until

START = "from ray.scripts.scripts import main; main()"
OPTIONS = (
    *("--head", "--port=0", "--num-cpus=2", "--num-gpus=2", "--object-store-memory=80000000"),
    *("--include-dashboard=false", "--block"),
)


@pytest.fixture(scope="module")
def address():
    """The address of the cluster."""
    pytest.importorskip("ray", reason="needs the extra ray")
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # The paths of sockets have to be short.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # No file in the home folder.
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)  # Ray would find its GPUs missing.
        processors = ",".join(map(str, os.sched_getaffinity(0)))
        # It ends with this process, even if that is killed.
        words = [sys.executable, process_start.__file__, str(os.getpid()), processors]
        words += [sys.executable, "-c", START, "start", *OPTIONS, f"--temp-dir={folder}"]
        with open(os.path.join(folder, "output.txt"), "w") as out:
            process = subprocess.Popen(words, stdout=out, stderr=out)
        try:
            found = os.path.join(folder, "ray_current_cluster")
            until(lambda: os.path.exists(found) and open(found).read())
            yield open(found).read().strip()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            shutil.rmtree(folder, ignore_errors=True)
