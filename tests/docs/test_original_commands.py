"""Runs the commands of docs/original_commands.md unchanged except for fewer steps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.runtime import tiny

FEWER = {
    "train_steps = 1000": "train_steps = 2",
    "save_checkpoints_steps = 200": "save_checkpoints_steps = 2",
    '"tokens_per_batch\\", 8192': '"tokens_per_batch\\", 1024',
    "per_microbatch_per_replica = 8192": "per_microbatch_per_replica = 1024",
    'eval_checkpoint_step = \\"all\\""': (
        'eval_checkpoint_step = \\"all\\"" --gin_param=\'utils.run.perplexity_eval_steps = 1\' '
        "--gin_param='utils.run.batch_size = 2'"
    ),
}


def original_commands(model, folder):
    """Returns the block of the two commands for another model and folder."""
    (block,) = (
        block
        for block in (ROOT / "docs" / "original_commands.md").read_text().split("```")[1::2]
        if "# Run evaluation job." in block
    )
    changes = {
        **FEWER,
        'MODEL_NAME="small_primer"': f'MODEL_NAME="{model}"',
        '"runs/': f'"{folder}/',
    }
    for text, instead in changes.items():
        assert text in block, text
        block = block.replace(text, instead)
    return block


@pytest.mark.slow
@pytest.mark.parametrize("model", ["small_primer", "small_transformer_vanilla"])
def test_the_commands_of_the_originals_readme(model, tmp_path):
    done = subprocess.run(
        ["bash", "-ec", original_commands(model, tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    model_dir = tmp_path / f"{model}_sotu"
    assert (model_dir / "model.ckpt-2.index").exists()
    (events,) = model_dir.glob("eval_*")
    (loss,) = tiny.scalars(events)["neg_log_perplexity"].values()
    assert -12 < loss < -8  # Near log(8192 + padding) after two steps.
