"""What a run says of its memory before its first step and after a few, and when it ends."""

import types

import gin
import pytest
import tensorflow.compat.v1 as tf

from primer.errors import RunError, UsageError
from primer.runtime import callbacks
from primer.runtime.memory import machine, policy, watch
from primer.runtime.memory.devices import Devices

MIB = 2**20
NEED = callbacks.MemoryNeed({"weight": 30 * MIB, "weight_slot_m": 20 * MIB}, 50 * MIB)


class Planner:
    """Stands in for planning's."""

    def __init__(self, need=NEED):
        self._need = need
        self.asked = []

    def need(self, operations, results, counts):
        if isinstance(self._need, Exception):
            raise self._need
        return self._need

    def changes(self, settings, available):
        self.asked.append(available)
        return "By their plans, this fits: less."


@pytest.fixture
def made(monkeypatch):
    """Returns a function that makes the watch of a run with so many MiB, and its planner."""

    def make(available, planner=None, setting=None, is_compiled=False):
        planner = planner or Planner()
        monkeypatch.setattr(callbacks, "memory_planner", lambda: planner)
        monkeypatch.setattr(machine, "available", lambda: available * MIB)
        gin.clear_config()
        if setting is not None:
            gin.parse_config(f"memory_check.shortage = {setting!r}")
        with tf.Graph().as_default():
            tf.get_variable("weight", [3])
            run = watch.Watch(types.SimpleNamespace(settings={}), [], is_compiled=is_compiled)
            return run, planner

    yield make
    gin.clear_config()


def test_memory_that_a_compiler_takes_is_not_predicted_and_said(made, capsys):
    run, _ = made(200, is_compiled=True)
    run.check(None)
    assert "available. What XLA takes to compile the step" in capsys.readouterr().err


def test_the_first_lines_have_the_predicted_peak(made, capsys):
    run, planner = made(200)
    run.check(None)
    assert capsys.readouterr().err == (
        "Memory: 100 MiB predicted at the peak of a step: weights 30 MiB, optimizer and other "
        "state 20 MiB, activations, gradients and temporary results 50 MiB; 200 MiB are "
        "available.\n"
    )
    assert not planner.asked


def test_a_clear_shortage_is_refused_with_what_fits(made):
    run, planner = made(79)
    with pytest.raises(UsageError) as error:
        run.check(None)
    assert str(error.value) == (
        "a step is predicted to need 100 MiB of memory, and 79 MiB are available. By their plans, "
        "this fits: less. To train all the same: --gin_param \"memory_check.shortage = 'warn'\""
    )
    assert planner.asked == [79 * MIB]


@pytest.mark.parametrize(
    "available, setting, warns",
    [(81, None, True), (79, policy.WARN, True), (79, policy.IGNORE, False)],
)
def test_a_small_shortage_or_a_setting_goes_on(made, capsys, available, setting, warns):
    run, _ = made(available, setting=setting)
    run.check(None)
    text = capsys.readouterr().err
    assert ("Warning: a step is predicted to need 100 MiB" in text) == warns


def test_another_setting_is_refused(made):
    run, _ = made(200, setting="never")
    with pytest.raises(UsageError, match='shortage = \'never\': expected "refuse", "warn" or'):
        run.check(None)


def test_a_prediction_that_fails_does_not_end_a_run(made, capsys):
    run, _ = made(1, Planner(ValueError("an operation of another library")))
    run.check(None)
    run.after_step(False)
    assert capsys.readouterr().err == ""


def test_the_peak_is_measured_once_over_steps_without_a_save(made, capsys):
    run, _ = made(200)
    run.check(None)
    capsys.readouterr()
    for is_saving in (True, False, False, True, *[False] * 3):
        run.after_step(is_saving)
    assert capsys.readouterr().err == ""
    held = bytearray(64 * MIB)
    run.after_step(False)
    del held
    text = capsys.readouterr().err
    assert "measured at the peak of 3 steps (of the process, above what it had before" in text
    assert text.endswith("100 MiB predicted.\n")
    for _ in range(5):
        run.after_step(False)
    assert capsys.readouterr().err == ""


def test_an_allocation_that_fails_is_one_line_with_what_needs_less(made):
    _, planner = made(200)
    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating [9]\n at op")
    with pytest.raises(RunError) as raised:
        with watch.exhaustion_explained(types.SimpleNamespace(settings={})):
            raise error
    assert str(raised.value) == (
        "out of memory (OOM when allocating [9]). By their plans, this fits: less."
    )
    assert planner.asked == [None]


def test_the_memory_of_one_gpu_counts_on_a_mesh_of_gpus():
    devices = Devices({"mesh_devices": ["gpu:1", "gpu:0"]}, None)
    assert (devices.number, devices.where) == (2, " on each GPU")
    with tf.Graph().as_default():
        found = {}
        for name in ("/device:GPU:1", "/device:GPU:0", "/device:CPU:0", None):
            with tf.device(name):
                found[name] = devices.counts(tf.no_op())
    assert [found[name] for name in found] == [True, False, False, True]


def test_processors_on_a_cpu_share_its_memory():
    devices = Devices({"mesh_devices": ["cpu:0", "cpu:1"]}, None)
    assert (devices.number, devices.where) == (1, "")
    with tf.Graph().as_default(), tf.device("/device:CPU:1"):
        assert devices.counts(tf.no_op())
