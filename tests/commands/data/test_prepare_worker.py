"""A worker process of `primer data prepare` has the parent's tasks and gin settings."""

import json
import subprocess
import sys

import pytest

from tests.paths import ROOT

PROGRAM = """
import json, sys
from primer.commands.data import prepare_worker
prepare_worker.start_worker(json.loads(sys.argv[1]))
import gin, seqio
c4 = seqio.TaskRegistry.get("c4_v220_autoregressive_language_modeling").source
print(json.dumps({
    "unit": gin.query_parameter("text_files.unit"),
    "folder": c4.directory(),
    "tasks": [name in seqio.TaskRegistry.names() for name in ("sotu", "mine")],
}))
"""
MODULE = """
import seqio
source = seqio.FunctionDataSource(lambda split, shuffle_files: None, splits=["train"])
seqio.TaskRegistry.add("mine", source, preprocessors=[], output_features={}, metric_fns=[])
"""


# The quick tests start workers in tests/data/prepared/test_pool.py.
@pytest.mark.slow
def test_a_new_process_is_configured(tmp_path):
    (tmp_path / "my_tasks.py").write_text(MODULE)
    plan = {
        "modules": ["my_tasks"],
        "tfds_data_dir": "/data/tfds",
        "gin": "text_files.unit = 'line'\nsome_layer.size = 3\n",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(plan)],
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found == {"unit": "line", "folder": "/data/tfds/c4/en/3.0.1", "tasks": [True, True]}
