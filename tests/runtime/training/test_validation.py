"""Validation during training: when it runs, what a resumed run makes up, which best is kept.

Also when it ends training early.
"""

import os
import signal
import types

import gin
import pytest

from primer.checkpoints import best_checkpoint, model_directory
from primer.errors import UsageError
from primer.runtime import callbacks, model_function
from primer.runtime.training import signals, validation
from tests.runtime import tiny

PROTOCOL = "documents"


class Validator:
    """Stands in for the validator of `primer.evaluation`: losses by step, of which some are known.

    Args:
        nats: {step: nats per token}.
        known: the recorded results, by step.
        signal_in: "prepare" or a step, in which this process gets SIGTERM, or None.
    """

    def __init__(self, nats, known, signal_in=None):
        self._nats, self.known, self._signal_in = nats, known, signal_in
        self.is_prepared = self.is_closed = False

    def make(self, estimator, before_batch):
        self._before_batch = before_batch
        return self

    def recorded(self, path):
        return self.known.get(step_of(path))

    def history(self):
        return list(self.known.values())

    def prepare(self):
        self._signal("prepare")
        self.is_prepared = True

    def evaluate(self, path):
        assert self.is_prepared
        step = step_of(path)
        self._signal(step)
        self._before_batch()
        result = {"step": step, "nats_per_token": self._nats[step], "how": PROTOCOL}
        return self.known.setdefault(step, result)

    def _signal(self, place):
        if place == self._signal_in:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([], 1)  # Gives Python the time to call the handler.

    def close(self):
        self.is_closed = True


def step_of(path):
    return int(path.rsplit("-", 1)[1])


class Run:
    """A directory with a checkpoint of every step, and what a session validates in it."""

    def __init__(self, model_dir, monkeypatch):
        self.model_dir, self.known = str(model_dir), {}
        self._model_dir = model_dir
        monkeypatch.setattr(callbacks, "_registry", callbacks._Registry())
        function = types.SimpleNamespace(description={})
        monkeypatch.setattr(model_function, "of_estimator", lambda estimator: function)
        monkeypatch.setattr(model_directory, "check_description", lambda *arguments, **more: [])

    def path(self, step):
        for suffix in ("index", "data-00000-of-00001"):
            (self._model_dir / f"model.ckpt-{step}.{suffix}").write_text(str(step))
        return f"{self.model_dir}/model.ckpt-{step}"

    def session(self, nats, every=2, start=0, signal_in=None, early_stop=None, more=0.0):
        """Resumes at `start` and validates all later steps of `nats`, the last of which is goal.

        Args:
            nats: {step: nats per token}.
            start: a step, or 0.
            signal_in: as for `Validator`.
            every, early_stop, more: the settings `validation.*`; `more` is `min_improvement`.

        Returns:
            (the validator, the stop request).
        """
        validator = Validator(nats, self.known, signal_in)
        self.known = validator.known
        callbacks.set_validator(validator.make)
        with gin.unlock_config():
            gin.bind_parameter("validation.every", every)
            gin.bind_parameter("validation.early_stop", early_stop)
            gin.bind_parameter("validation.min_improvement", more)
        estimator = types.SimpleNamespace(model_dir=self.model_dir)
        with signals.stop_on_signals() as stop_request:
            own = validation.Validation(estimator, max(nats), stop_request)
            own.catch_up(self.path(start) if start else None)
            self.reached, self.early_end = start, own.early_end(start)
            for step in range(start + 1, max(nats) + 1):
                if stop_request.requested or self.early_end:
                    break
                self.reached = step
                if own.is_due(step):
                    own.evaluate(self.path(step))
                    self.early_end = own.early_end(step)
            own.close()
        return validator, stop_request

    @property
    def best(self):
        return best_checkpoint.read_result(self.model_dir)


@pytest.fixture
def training(tmp_path, monkeypatch):
    return Run(tmp_path, monkeypatch)


def test_the_best_checkpoint_is_kept(training, capsys):
    validator, _ = training.session({2: 3.0, 4: 2.5, 6: 2.75})
    assert list(training.known) == [2, 4, 6] and validator.is_closed
    assert training.best == {"step": 4, "nats_per_token": 2.5, "how": PROTOCOL}
    assert capsys.readouterr().err.splitlines() == [
        "step 2  validation 3.0000 nats per token  (best so far)",
        "step 4  validation 2.5000 nats per token  (best so far)",
        "step 6  validation 2.7500 nats per token  (best: step 4)",
    ]


def test_the_last_step_is_always_evaluated(training):
    training.session({2: 3.0, 3: 2.0})
    assert list(training.known) == [2, 3] and training.best["step"] == 3


def test_without_the_setting_nothing_is_evaluated(training):
    training.session({3: 1.0}, every=None)
    assert (training.known, training.best) == ({}, None)


def test_a_loss_that_is_not_finite_is_not_the_best(training, capsys):
    training.session({2: float("nan")})
    assert training.best is None
    assert capsys.readouterr().err == "step 2  validation nan nats per token\n"


@pytest.mark.parametrize("start, every, due", [(4, 2, True), (5, 2, False), (5, 4, False)])
def test_a_checkpoint_that_was_not_validated_is_validated_on_resuming(training, start, every, due):
    nats = {step: 9.0 - step for step in range(1, 7)}
    validator, _ = training.session(nats, every, start=start)
    assert (start in validator.known) == due


def test_the_last_checkpoint_is_validated_although_there_is_nothing_to_train(training):
    training.session({2: 3.0, 4: 2.0, 5: 1.0}, start=5)
    assert list(training.known) == [5] and training.best["step"] == 5


def test_what_is_recorded_is_not_validated_again_nor_is_the_text_read(training, capsys):
    training.session({2: 3.0, 4: 3.5})
    capsys.readouterr()
    validator, _ = training.session({4: 3.5}, start=4)
    assert not validator.is_prepared and capsys.readouterr().err == ""


def test_a_recorded_best_that_a_kill_kept_from_being_copied_is_copied(training):
    training.session({2: 3.0})
    training.known[4] = {"step": 4, "nats_per_token": 2.0, "how": PROTOCOL}
    training.session({4: 2.0}, start=4)
    assert training.best["step"] == 4


@pytest.mark.parametrize("place", ["prepare", 4])
def test_a_signal_ends_a_validation_with_nothing_written(training, place, capsys):
    training.session({2: 3.0})
    _, stop_request = training.session({4: 2.0, 6: 1.0}, start=3, signal_in=place)
    assert stop_request.name == "SIGTERM" and list(training.known) == [2]
    assert training.best["step"] == 2
    assert "The validation of step 4 was stopped by SIGTERM" in capsys.readouterr().err
    training.session({4: 2.0, 6: 3.0}, start=4)
    assert list(training.known) == [2, 4, 6] and training.best["step"] == 4


@pytest.mark.parametrize("key", ["how", "text_checksum"])
def test_a_best_of_another_protocol_or_text_is_evaluated_again(training, key, capsys):
    """Step 2 was better by another measure; by this one it is worse than step 4."""
    record = {"step": 2, "nats_per_token": 1.0, "how": PROTOCOL, key: "another"}
    best_checkpoint.store(training.model_dir, training.path(2), record)
    training.session({2: 3.0, 4: 2.5}, every=4)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["step 4  validation 2.5000 nats per token  (best so far)"]
    assert training.best["step"] == 4


@pytest.mark.parametrize(
    "nats, best, better",
    [
        (1.0, 2.0, True),
        (2.0, 2.0, False),
        (float("nan"), 2.0, False),
        (1.0, float("nan"), True),
        (1.0, None, True),
        (float("inf"), None, False),
    ],
)
def test_a_finite_loss_below_the_best_is_better(nats, best, better):
    best = best and {"nats_per_token": best}
    assert validation._is_better({"nats_per_token": nats}, best) is better


@pytest.mark.parametrize("every", [0, -1, 2.5, True])
def test_the_interval_is_a_positive_whole_number(every):
    with pytest.raises(UsageError, match=r"validation.every \(--eval_every\) = "):
        validation.validation(every)


# Steps 2 to 12; the best is step 4, and from there three are worse, one is better, two are worse.
NATS = dict(zip(range(2, 16, 2), (3.0, 2.5, 2.6, 2.5, 2.75, 2.25, 2.3), strict=True))


@pytest.mark.parametrize("early_stop, step, best", [(1, 6, 4), (2, 8, 4), (3, 10, 4), (4, 14, 12)])
def test_training_ends_after_validations_without_a_better_loss(training, early_stop, step, best):
    """Step 8 equals the best, which is no improvement. With 4, the goal comes first."""
    training.session(NATS, early_stop=early_stop)
    assert (training.reached, training.best["step"]) == (step, best)
    assert (training.early_end is None) == (step == 14)
    if early_stop == 3:
        assert training.early_end == (
            3,
            "no better validation loss in 3 validations; the best is 2.5000 nats per token at step "
            f"4, in {training.model_dir}/best",
        )


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("killed_at", range(3, 11))
def test_a_resumed_run_ends_where_the_uninterrupted_one_does(training, killed_at, validated):
    """The kill is after the checkpoint of a step, before or after its validation."""
    before = {step: NATS[step] for step in NATS if step < killed_at + validated}
    training.session(before, early_stop=3)
    training.session(NATS, start=killed_at, early_stop=3)
    assert (training.reached, training.early_end.validations) == (10, 3)
    assert sorted(training.known) == [2, 4, 6, 8, 10]


def test_after_an_early_end_nothing_is_done_and_more_patience_trains_on(training, capsys):
    training.session(NATS, early_stop=2)
    capsys.readouterr()
    validator, _ = training.session(NATS, start=8, early_stop=2)
    assert training.reached == 8 and training.early_end.validations == 2
    assert not validator.is_prepared and capsys.readouterr().err == ""
    training.session(NATS, start=8, early_stop=3)
    assert training.reached == 10 and training.early_end.validations == 3
    training.session(NATS, start=10, early_stop=1)
    assert training.early_end.reason.startswith("no better validation loss in 3 validations;")
    training.session(NATS, start=10)
    assert training.reached == 14 and training.early_end is None


def test_a_small_improvement_does_not_count_unless_several_add_up(training):
    nats = {2: 3.0, 4: 2.95, 6: 2.88, 8: 2.85, 10: 2.8, 12: 2.7}
    training.session(nats, early_stop=2, more=0.1)
    assert training.reached == 10  # 6 is better than 2 by 0.12, 8 and 10 than 6 by at most 0.08.
    assert training.early_end.reason == (
        "no validation loss better by more than 0.1 in 2 validations; the best is 2.8000 nats per "
        f"token at step 10, in {training.model_dir}/best"
    )


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_no_improvement(training, bad):
    training.session({2: bad, 4: 3.0, 6: bad, 8: bad, 10: 1.0}, early_stop=2)
    assert training.reached == 8 and "2 validations; the best is 3.0000" in (
        training.early_end.reason
    )


def test_without_any_finite_loss_no_best_is_named(training):
    training.session({2: float("nan"), 4: 1.0}, early_stop=1)
    assert training.early_end == (1, "no finite validation loss in 1 validation")


def test_results_that_are_not_of_this_training_do_not_count(training):
    """Those of other steps, of a training that went elsewhere, of another text."""
    result = {"nats_per_token": 0.5, "how": PROTOCOL}
    for step, more in ((2, {"text_checksum": "old"}), (4, {}), (5, {}), (12, {})):
        training.known[step] = {"step": step, **result, **more}
    training.known[4] = {"step": 4, **result, "nats_per_token": 3.5}  # The later row of its step.
    training.session({6: 3.0, 8: 2.9, 10: 2.95, 12: 2.0}, start=5, early_stop=2)
    assert training.reached == 12 and training.early_end is None


def test_lost_results_are_made_up_for_by_the_best(training):
    training.session({2: 2.0, 4: 3.0}, early_stop=3)
    training.known.clear()
    training.session({6: 3.0, 8: 3.0, 10: 3.0, 12: 3.0}, start=5, early_stop=3)
    assert training.reached == 10 and "at step 2" in training.early_end.reason


def test_a_best_of_another_protocol_is_named_with_the_loss_of_this_one(training):
    """By the other protocol it is better than all others; by this one it is 2.5."""
    training.session(NATS, early_stop=2)
    record = {"step": 4, "nats_per_token": 1.0, "how": "another"}
    best_checkpoint.store(training.model_dir, training.path(4), record)
    training.session(NATS, start=8, early_stop=2)
    assert training.reached == 8
    assert "2 validations; the best is 2.5000 nats per token at step 4" in training.early_end.reason


def test_a_signal_in_a_validation_is_not_an_early_end(training):
    training.session({2: 3.0, 4: 3.0, 6: 3.0}, signal_in=4, early_stop=1)
    assert training.reached == 4 and training.early_end is None


@pytest.mark.parametrize(
    "bindings, message",
    [
        ("validation.early_stop = 3", r"early_stop = 3 \(--early_stop\).*set --eval_every"),
        ("validation.early_stop = 0", r"early_stop \(--early_stop\) = 0: expected a whole"),
        ("validation.early_stop = 2.5", r"early_stop \(--early_stop\) = 2.5: expected a whole"),
        ("validation.min_improvement = -1", "min_improvement = -1: expected a number of 0"),
        (
            "validation.min_improvement = 0.1\nvalidation.every = 2",
            "min_improvement = 0.1 has no effect without --early_stop",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(bindings, message):
    gin.parse_config(bindings)
    with pytest.raises(UsageError, match=message):
        validation.validation()


def test_validation_without_a_registered_evaluation_ends_with_one_line(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(callbacks, "_registry", callbacks._Registry())
    with pytest.raises(SystemExit) as ended:
        tiny.run(tmp_path, "validation.every = 3")
    assert ended.value.code == 2
    assert "give --module_import=t5_imports" in capsys.readouterr().err
