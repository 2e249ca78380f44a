"""Every file of gin/schedules/ gives a run its learning rate.

The files are found by their names. Numbers are in the test of each schedule.
"""

import numpy as np
import pytest

from primer.gin_config import config_files
from tests.optimizers import training_run

STEPS = 2
every_schedule = pytest.mark.parametrize("name", config_files.names_of_kind("schedules"))


@every_schedule
def test_a_run_has_the_rate_of_the_schedule(name, tmp_path):
    trained = training_run.train(tmp_path, [f"schedules/{name}.gin"], steps=STEPS)
    assert np.all(np.isfinite(trained.losses))
    expected = training_run.rates(trained.schedule, range(STEPS))
    np.testing.assert_allclose(trained.events["learning_rate"], expected, rtol=1e-6)
    every = training_run.rates(trained.schedule, range(training_run.STEPS + 1))
    assert np.all(np.isfinite(every)) and min(every) >= 0 and max(every) > 0
