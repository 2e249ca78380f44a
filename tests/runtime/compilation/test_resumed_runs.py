"""Training through `utils.run` compiled by XLA: resumed, and against the uncompiled run."""

import shutil

import numpy as np

from tests.runtime import tiny

EVENTS = "summaries.every = 1"
XLA = "compile.xla = True"


def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(tmp_path, capsys):
    """With dropout, whose draws depend on the step, and microbatches."""
    microbatches = "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = 64"
    settings = (EVENTS, microbatches)
    tiny.run(tmp_path / "whole", *settings, XLA)
    assert "XLA compiled the training step in" in capsys.readouterr().err
    later = shutil.ignore_patterns("*ckpt-6*", "events*", "*.lock", "eval*")
    shutil.copytree(tmp_path / "whole", tmp_path / "resumed", ignore=later)
    tiny.run(tmp_path / "resumed", *settings, XLA)
    whole = tiny.variables(tmp_path / "whole", 6)
    tiny.assert_equal_variables(whole, tiny.variables(tmp_path / "resumed", 6))

    tiny.run(tmp_path / "stock", *settings)
    found, expected = (tiny.scalars(tmp_path / name) for name in ("whole", "stock"))
    assert found.keys() == expected.keys()
    for name in ("loss", "learning_rate"):
        values = [list(events[name].values()) for events in (found, expected)]
        assert len(values[0]) == 6
        np.testing.assert_allclose(*values, rtol=1e-5, err_msg=name)
