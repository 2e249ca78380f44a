"""Training through `utils.run` compiled by XLA, uninterrupted and resumed."""

import shutil

import pytest

from tests.runtime import tiny


@pytest.mark.slow
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(tmp_path, capfd):
    """With dropout, whose draws depend on the step, and microbatches."""
    settings = (
        "compile.xla = True",
        "summaries.every = 1",
        "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = 64",
    )
    tiny.run(tmp_path / "whole", *settings)
    assert "XLA compiled the training step in" in capfd.readouterr().err
    found = tiny.scalars(tmp_path / "whole")
    assert len(found["loss"]) == len(found["learning_rate"]) == 6
    later = shutil.ignore_patterns("*ckpt-6*", "events*", "*.lock", "eval*")
    shutil.copytree(tmp_path / "whole", tmp_path / "resumed", ignore=later)
    tiny.run(tmp_path / "resumed", *settings)
    assert "XLA compiled the training step in" in capfd.readouterr().err
    whole, resumed = (tiny.variables(tmp_path / name, 6) for name in ("whole", "resumed"))
    tiny.assert_equal_variables(whole, resumed)
