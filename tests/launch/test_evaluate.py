"""The engine's command line that evaluates a model directory."""

from primer.launch import evaluate


def test_bindings_of_the_user_override_those_of_options(tmp_path):
    (tmp_path / "operative_config.gin").touch()
    settings = {"evaluate_checkpoints.split": "test", "evaluate_checkpoints.batch_size": None}
    arguments = evaluate.engine_arguments(
        str(tmp_path), ["mine"], "/data", ["evaluate_checkpoints.split = 'train'"], **settings
    )
    assert arguments == [
        "--module_import=t5_imports",
        "--module_import=mine",
        f"--model_dir={tmp_path}",
        f"--gin_file={tmp_path}/operative_config.gin",
        "--gin_file=run/evaluate.gin",
        '--gin_param=evaluate_checkpoints.split = "test"',
        "--gin_param=evaluate_checkpoints.split = 'train'",
        "--t5_tfds_data_dir=/data",
    ]
