"""The seconds of a run leave out pauses, and are not known of copies."""

import math
import os

from primer.experiments.sweeps.evaluations import wall_time


def test_wall_time_leaves_out_pauses_and_what_is_not_known(tmp_path):
    path = tmp_path / "model.ckpt-5.index"
    path.write_text("")
    day = "2026-11-29T{}:00:00+00:00"
    starts = [
        {"began": day.format(10), "ended": day.format(11)},
        {"began": day.format(15), "ended": day.format(16)},
    ]

    def seconds(hour, starts):
        when = wall_time.timestamp(day.format(10)) + (hour - 10) * 3600
        os.utime(path, (when, when))
        return wall_time.seconds_until(str(path), starts)

    assert seconds(10.5, starts) == 1800
    assert seconds(15.5, starts) == 3600 + 1800
    assert math.isnan(seconds(12, starts))  # A copy.
    killed = [{"began": day.format(10)}, starts[1]]
    assert seconds(10.5, killed) == 1800
    assert math.isnan(seconds(15.5, killed))
    assert math.isnan(wall_time.seconds_until(str(tmp_path / "none"), starts))
    # Of a run that records when its first step ended, the time before is left out.
    late = {**starts[0], wall_time.FIRST_STEP: "2026-11-29T10:15:00+00:00"}
    assert seconds(10.5, [late]) == 900
