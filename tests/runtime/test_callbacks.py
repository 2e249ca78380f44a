"""The registry of checks, start functions, explainers and the evaluation of validation."""

import pytest
from absl import flags

from primer.errors import RunError
from primer.runtime import callbacks


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch):
    monkeypatch.setattr(callbacks, "_registry", callbacks._Registry())


def test_checks_run_in_the_order_of_registration_and_once_each():
    calls = []

    @callbacks.before_run
    def first(mode):
        calls.append(("first", mode))

    @callbacks.before_run
    def second(mode):
        calls.append(("second", mode))

    callbacks.before_run(first)
    callbacks.run_checks("eval")
    assert calls == [("first", "eval"), ("second", "eval")]


def test_a_failing_check_ends_the_run():
    @callbacks.before_run
    def fail(mode):
        raise RunError(mode)

    with pytest.raises(RunError, match="train"):
        callbacks.run_checks("train")


def test_start_functions_get_the_model_directory():
    directories = []
    callbacks.at_start(directories.append)
    callbacks.run_start_functions("runs/a")
    assert directories == ["runs/a"]


def test_the_first_explanation_is_used():
    callbacks.explain_with(lambda error: None)
    callbacks.explain_with(lambda error: RunError(f"explained: {error}"))
    callbacks.explain_with(lambda error: RunError("too late"))
    assert str(callbacks.explanation_of(ValueError("x"))) == "explained: x"


def test_an_unknown_error_has_no_explanation():
    callbacks.explain_with(lambda error: None)
    assert callbacks.explanation_of(ValueError("x")) is None


def test_the_last_validator_is_used():
    assert callbacks.validator_factory() is None
    callbacks.set_validator(len)
    callbacks.set_validator(repr)
    assert callbacks.validator_factory() is repr


def test_the_command_line_is_empty_without_flags(monkeypatch):
    monkeypatch.setattr(flags, "FLAGS", flags.FlagValues())
    assert callbacks.command_line() == ([], [])


def test_the_command_line_has_gins_files_and_bindings(monkeypatch):
    values = flags.FlagValues()
    flags.DEFINE_multi_string("gin_file", None, "", flag_values=values)
    flags.DEFINE_multi_string("gin_param", None, "", flag_values=values)
    values(["test", "--gin_file=a.gin", "--gin_file=b.gin", "--gin_param=x = 1"])
    monkeypatch.setattr(flags, "FLAGS", values)
    assert callbacks.command_line() == (["a.gin", "b.gin"], ["x = 1"])
