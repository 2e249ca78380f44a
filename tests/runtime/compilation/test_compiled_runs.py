"""Training of every composition compiled by XLA has the losses that are recorded uncompiled.

tests/recorded_runs.py has the runs, of ten steps with microbatches and packed rows.
"""

import json

import pytest
import tensorflow.compat.v1 as tf

from primer.runtime import session
from primer.runtime.compilation.program import Program
from primer.runtime.training import scaffolds
from tests import gin_models, recorded_runs
from tests.paths import GOLDEN

XLA = "compile.xla = True"
TOLERANCE = 1e-5
EXPERTS = [("primer", "switch"), ("primer", "gshard_experts")]
COMPOSITIONS = [(name, None) for name in gin_models.BASES] + EXPERTS
TWO_WAY = (
    "utils.run.mesh_shape = 'devices:2'",
    "utils.run.mesh_devices = ['cpu:0', 'cpu:1']",
    "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = None",
)


def train(composition, model_dir, *bindings):
    """Trains for ten steps; returns the losses, and the devices of compiled calls that ran."""
    files = gin_models.files(composition[0], overlay=composition[1])
    estimator = recorded_runs.estimator_of(files, [recorded_runs.SETTINGS, *bindings], model_dir)
    with tf.Graph().as_default() as graph:
        spec, feeds = recorded_runs.training_graph(estimator)
        devices = estimator.mesh_devices
        program = Program([spec.loss, spec.train_op], devices, "the training step")
        calls = [op.device for op in graph.get_operations() if op.type == "XlaLaunch"]
        with tf.train.SingularMonitoredSession(
            config=session.with_cpus(session.default_config(), 2),
            scaffold=scaffolds.initializing(),
        ) as sess:
            losses = []
            for batch in recorded_runs.batches():
                feed = {feeds[name]: value for name, value in batch.items()}
                losses.append(float(program.run(sess.run, feed)[0]))
    return losses, calls if program.is_compiled else []


def recorded(composition):
    path = GOLDEN / "runs" / f"{gin_models.name_of(composition)}.json"
    return pytest.approx(json.loads(path.read_text(encoding="utf-8"))["losses"], rel=TOLERANCE)


@pytest.mark.parametrize(
    "composition",
    gin_models.as_params(COMPOSITIONS, lambda composition: composition == ("primer_ez", None)),
)
def test_losses_are_those_of_uncompiled_training(composition, tmp_path):
    losses, calls = train(composition, tmp_path, XLA)
    assert losses == recorded(composition)
    assert len(calls) == 1


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["batch:devices", "heads:devices,d_ff:devices"])
def test_each_device_of_a_mesh_computes_its_part_compiled(layout, tmp_path):
    split = f"utils.run.layout_rules = '{layout}'"
    losses, calls = train(("transformer", None), tmp_path, XLA, *TWO_WAY, split)
    assert losses == recorded(("transformer", None))
    assert set(calls) == {"/device:CPU:0", "/device:CPU:1"}


@pytest.mark.slow
def test_microbatches_on_a_mesh_run_uncompiled(tmp_path, capsys):
    split = "utils.run.layout_rules = 'batch:devices'"
    more = "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = 24"
    losses, calls = train(("transformer", None), tmp_path, XLA, *TWO_WAY, split, more)
    assert losses == recorded(("transformer", None))
    assert not calls
    assert "as over microbatches, is on several devices" in capsys.readouterr().err


@pytest.mark.slow
def test_experts_without_capacity_run_uncompiled(tmp_path, capsys):
    """XLA refuses at the first step, which is then computed from the same batch."""
    losses, calls = train(("primer", "fastmoe"), tmp_path, XLA)
    assert losses == recorded(("primer", "fastmoe"))
    assert not calls
    assert "which runs uncompiled: Dynamic reshape is not implemented" in capsys.readouterr().err


@pytest.mark.slow
def test_memory_is_carried_as_uncompiled(tmp_path):
    memory = ("memory_length = 20", "carry_memory = True")
    composition = ("transformer_xl", None)
    losses, calls = train(composition, tmp_path, XLA, *memory)
    expected, _ = train(composition, tmp_path, *memory)
    assert losses == pytest.approx(expected, rel=TOLERANCE)
    assert len(calls) == 1
    assert losses != recorded(composition)
