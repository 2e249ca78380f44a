"""`MtfModel.finetune` trains for the number of steps that it is given."""

import shutil

from tests.runtime import tiny


def test_finetuning_ends_after_its_steps(trained, tmp_path, capfd):
    other = shutil.copytree(trained, tmp_path / "other")
    tiny.configure()
    tiny.mtf_model_of(tmp_path / "new").finetune(tiny.TASK, 2, str(other))
    assert tiny.variables(tmp_path / "new", 2)["global_step"] == 2
    assert f"variables loaded from {other}/model.ckpt-6" in capfd.readouterr().err
