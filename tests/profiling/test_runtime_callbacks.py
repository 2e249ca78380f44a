"""`profile.steps` in training: the files of the profile, and a run that is otherwise the same."""

import json
import os

import pytest

from primer.profiling import runtime_callbacks
from primer.runtime import callbacks
from tests.runtime import tiny


@pytest.fixture(autouse=True)
def registered():
    callbacks.set_profiler(runtime_callbacks.make_profiler)


def test_a_profile_leaves_losses_and_weights_as_they_are(tmp_path, capfd):
    """The model has dropout: the random numbers are those of the run without a profile, too."""
    directories = [tmp_path / "plain", tmp_path / "profiled"]
    settings = ("summaries.every = 1", "utils.run.save_checkpoints_steps = 6")
    tiny.run(directories[0], *settings)
    tiny.run(directories[1], *settings, "profile.steps = 1", "profile.warm_up = 2")
    plain, profiled = map(tiny.scalars, directories)
    assert len(plain["loss"]) == 6 and plain["loss"] == profiled["loss"]
    tiny.assert_equal_variables(*(tiny.variables(path, 6) for path in directories))
    assert "By layer" in capfd.readouterr().err
    folder = directories[1] / "profile"
    assert {"profile.json", "profile.png", "trace.json"} <= set(os.listdir(folder))
    found = json.loads((folder / "profile.json").read_text())
    assert found["protocol"]["steps"] == 1 and found["protocol"]["warm_up"] == 2
    assert found["protocol"]["batch"] == [4, 32]
    layers = {row["name"]: row for row in found["layers"]}
    for name in ("block_000/layer_000", "block_000/layer_001"):
        phases = layers[name]["seconds_by_phase"]
        assert min(phases[phase] for phase in ("forward", "backward", "update")) > 0
    assert layers["input"]["seconds"] > 0
    # What Mesh-TF's graph does not have: the count of steps and the summaries, not the model.
    assert layers["outside"]["share"] < 0.1
    assert not (directories[0] / "profile").exists()
