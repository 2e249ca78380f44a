"""The engine's command line of a run that starts from another one."""

import pytest

from primer.errors import UsageError
from primer.launch import train
from primer.launch.train import ModelChoice, TrainingRun


@pytest.fixture
def base(tmp_path):
    """A directory with a configuration and the name of a checkpoint."""
    (tmp_path / "config.gin").write_text("d_model = 16\n")
    (tmp_path / "model.ckpt-7.index").write_text("")
    return tmp_path


def run(base, model=None, **settings):
    return TrainingRun(model or ModelChoice(), "m", **{"from_": str(base), **settings})


def test_the_model_and_the_task_are_those_of_the_directory(base):
    arguments = train.engine_arguments(run(base, steps=3, gin_param=["lora_rank = 8"]))
    assert arguments == [
        "--module_import=t5_imports",
        "--model_dir=m",
        "--gin_file=models/defaults.gin",
        f"--gin_file={base}/config.gin",
        "--gin_file=run/new_start.gin",
        "--gin_param=utils.run.train_steps = 3",
        f'--gin_param=utils.run.init_checkpoint = "{base}"',
        "--gin_param=lora_rank = 8",
    ]
    path = f"{base}/model.ckpt-7"
    again = train.engine_arguments(run(path, steps=3, gin_param=["lora_rank = 8"]))
    assert again == [text.replace(f'"{base}"', f'"{path}"') for text in arguments]


def test_a_named_model_and_task_replace_them(base):
    start = run(
        base,
        ModelChoice("small_primer"),
        task="sotu",
        checkpoint="120",
        skip=["logits"],
        grow="mean",
        keep_step=True,
    )
    assert train.engine_arguments(start)[2:] == [
        "--gin_file=models/defaults.gin",
        "--gin_file=models/small_primer.gin",
        "--gin_file=datasets/sotu.gin",
        f'--gin_param=utils.run.init_checkpoint = "{base}"',
        "--gin_param=initial_weights.checkpoint = 120",
        '--gin_param=initial_weights.skip = ["logits"]',
        '--gin_param=initial_weights.grow = "mean"',
        "--gin_param=initial_weights.keep_step = True",
    ]


def test_what_cannot_be_read_is_refused(base):
    with pytest.raises(UsageError, match="--from .*none: there is no such directory"):
        train.engine_arguments(run(base / "none", ModelChoice("small_primer"), task="sotu"))
    with pytest.raises(UsageError, match="--grow says how --from is read"):
        train.engine_arguments(run(base, from_=None, grow="mean", task="sotu"))
    (base / "config.gin").write_text("import os\n")
    with pytest.raises(UsageError, match="imports the Python module 'os'"):
        train.engine_arguments(run(base))
    (base / "config.gin").unlink()
    with pytest.raises(UsageError, match="nothing was trained there"):
        train.engine_arguments(run(base))


def test_a_sweep_has_the_same_settings(base):
    from primer.experiments.sweeps import run_settings

    given = {"from": "base", "checkpoint": "best", "skip": "q", "keep_step": True, "task": "sotu"}
    checked = {
        run_settings.check_key("run", key): run_settings.check_value("run", key, value, str(base))
        for key, value in given.items()
    }
    made = run_settings.training_run(checked, "m")
    assert (made.from_, made.checkpoint, made.skip) == (f"{base}/base", "best", ["q"])
    assert made.keep_step is True and made.grow is None
    with pytest.raises(UsageError, match="keep_step"):
        run_settings.check_value("run.keep_step", "keep_step", "yes", str(base))
