"""Validation during training: when it runs, and which checkpoint is kept."""

import types

import gin
import pytest

from primer.checkpoints import best_checkpoint
from primer.errors import UsageError
from primer.runtime import callbacks
from primer.runtime.training import validation
from tests.runtime import tiny

PROTOCOL = "documents"


class Checkpoints:
    """A checkpoint writer that records the steps and writes small files."""

    def __init__(self, model_dir):
        self.steps = []
        self._model_dir = model_dir

    def save(self, sess, step):
        self.steps.append(step)
        self.last_path = f"{self._model_dir}/model.ckpt-{step}"
        for suffix in ("index", "data-00000-of-00001"):
            (self._model_dir / f"model.ckpt-{step}.{suffix}").write_text(str(step))


@pytest.fixture
def validate(tmp_path, monkeypatch):
    """A function of {step: nats per token} that validates after each of the steps."""
    monkeypatch.setattr(callbacks, "_registry", callbacks._Registry())

    def run(nats, every=2, last=None):
        def make_validator(estimator):
            assert estimator.model_dir == str(tmp_path)
            return lambda path: {
                "nats_per_token": nats[int(path.rsplit("-", 1)[1])],
                "how": PROTOCOL,
            }

        callbacks.set_validator(make_validator)
        with gin.unlock_config():
            gin.bind_parameter("validation.every", every)
        checkpoints = Checkpoints(tmp_path)
        lines = []
        line = types.SimpleNamespace(say=lines.append)
        estimator = types.SimpleNamespace(model_dir=str(tmp_path))
        validator = validation.Validation(estimator, checkpoints)
        for step in range(1, max(nats) + 1):
            validator.after_step(None, step, line, last=step == last)
        return checkpoints.steps, lines, best_checkpoint.read_result(str(tmp_path))

    return run


def test_the_best_checkpoint_is_kept(validate):
    steps, lines, best = validate({2: 3.0, 4: 2.5, 6: 2.75})
    assert steps == [2, 4, 6]
    assert best == {"step": 4, "nats_per_token": 2.5, "how": PROTOCOL}
    assert lines == [
        "step 2  validation 3.0000 nats per token  (best so far)",
        "step 4  validation 2.5000 nats per token  (best so far)",
        "step 6  validation 2.7500 nats per token  (best: step 4)",
    ]


def test_the_last_step_is_always_evaluated(validate):
    steps, _, best = validate({2: 3.0, 3: 2.0}, last=3)
    assert steps == [2, 3] and best["step"] == 3


def test_without_the_setting_nothing_is_evaluated(validate):
    assert validate({3: 1.0}, every=None, last=3) == ([], [], None)


def test_a_best_of_another_protocol_is_evaluated_again(validate, tmp_path):
    """Step 2 was better under another protocol; under this one it is worse than step 4."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(None, 2)
    record = {"step": 2, "nats_per_token": 1.0, "how": "another"}
    best_checkpoint.store(str(tmp_path), checkpoints.last_path, record)
    _, lines, best = validate({2: 3.0, 4: 2.5}, every=4)
    assert lines == ["step 4  validation 2.5000 nats per token  (best so far)"]
    assert best["step"] == 4


@pytest.mark.parametrize(
    "nats, best, better",
    [(1.0, 2.0, True), (2.0, 2.0, False), (float("nan"), 2.0, False), (1.0, float("nan"), True)],
)
def test_a_finite_loss_below_the_best_is_better(nats, best, better):
    assert validation._is_better(nats, best) is better


@pytest.mark.parametrize("every", [0, -1, 2.5, True])
def test_the_interval_is_a_positive_whole_number(every):
    with pytest.raises(UsageError, match=r"validation.every \(--eval_every\) = "):
        validation.validation(every)


def test_validation_without_a_registered_evaluation_ends_with_one_line(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(callbacks, "_registry", callbacks._Registry())
    with pytest.raises(SystemExit) as ended:
        tiny.run(tmp_path, "validation.every = 3")
    assert ended.value.code == 2
    assert "give --module_import=t5_imports" in capsys.readouterr().err
