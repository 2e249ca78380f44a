"""The file `checkpoint` holds names of its own directory, and is read as if it did."""

import pytest
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, checkpoint_state
from tests.evaluation import small_checkpoints


def test_names_are_relative_and_tensorflow_reads_them(tmp_path):
    directory = str(tmp_path)
    paths = [f"{directory}/model.ckpt-{step}" for step in (1, 3)]
    checkpoint_state.write(directory, paths)
    assert directory not in (tmp_path / "checkpoint").read_text()
    state = checkpoint_state.read(directory)
    assert state == checkpoint_state.CheckpointState(paths[1], paths, paths[1])
    assert tf.train.get_checkpoint_state(directory).all_model_checkpoint_paths == paths


@pytest.mark.parametrize("place", ["/elsewhere/a", "../a", "sub"])
def test_a_path_to_elsewhere_means_the_same_name_here(tmp_path, place, capfd):
    directory = str(tmp_path / "copy")
    small_checkpoints.save(directory, 3, {"x": 1.0})
    state = tmp_path / "copy" / "checkpoint"
    state.write_text(
        f'model_checkpoint_path: "{place}/model.ckpt-3"\n'
        f'all_model_checkpoint_paths: "{place}/model.ckpt-3"\n'
        f'all_model_checkpoint_paths: "{place}/precious"\n'
    )
    read = checkpoint_state.read(directory)
    assert (read.latest, read.paths) == (f"{directory}/model.ckpt-3", [f"{directory}/model.ckpt-3"])
    assert checkpoint_files.latest_checkpoint(directory) == f"{directory}/model.ckpt-3"
    assert capfd.readouterr().err == ""
    state.write_text(f'model_checkpoint_path: "{place}/model.ckpt-6"\n')
    assert checkpoint_files.latest_checkpoint(directory) == f"{directory}/model.ckpt-3"
    said = capfd.readouterr().err
    assert "model.ckpt-6, which is not in its directory and is not read; the newest" in said


@pytest.mark.parametrize("content", [b"", b"no protocol buffer", b"\xff\xfe"])
def test_a_damaged_file_names_nothing(tmp_path, content):
    assert checkpoint_state.read(str(tmp_path)) is None
    (tmp_path / "checkpoint").write_bytes(content)
    assert checkpoint_state.read(str(tmp_path)) is None
