"""Legal values of a run's settings."""

import pytest

from primer.common.settings import run_settings
from primer.errors import UsageError


@pytest.mark.parametrize("size", [1, 8, ("tokens_per_batch", 2048), ["sequences_per_replica", 4]])
def test_a_batch_is_rows_or_a_pair(size):
    run_settings.check_batch_size(size)


@pytest.mark.parametrize("size", [0, -1, True, 2.5, "8", None, (), ("rows", 8), ("a", 1, 2), [8]])
def test_another_batch_is_refused(size):
    with pytest.raises(UsageError, match="utils.run.batch_size is .*: expected a number of rows"):
        run_settings.check_batch_size(size)


@pytest.mark.parametrize(
    "check, legal, wrong, setting",
    [
        (run_settings.check_activation_dtype, "auto", "fp8", "precision.activation_dtype"),
        (run_settings.check_estimator, "local", "tpu", "estimator.kind"),
        (run_settings.check_mode, "train", "trian", "utils.run.mode"),
        (run_settings.check_train_steps, 10, "ten", "utils.run.train_steps"),
    ],
)
def test_a_wrong_value_is_named_with_its_setting(check, legal, wrong, setting):
    check(legal)
    with pytest.raises(UsageError, match=f"{setting} = '{wrong}': expected"):
        check(wrong)
