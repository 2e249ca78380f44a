"""Checks of a cache before a run reads it: vocabulary, settings of the text, files."""

import json
import shutil

import gin
import pytest
import seqio

from primer.data import preflight
from primer.errors import UsageError
from tests.data import caches
from tests.data.prepared import helpers

pytestmark = pytest.mark.usefixtures("corpus_settings")


def test_another_vocabulary_is_refused_at_the_start(cache):
    gin.bind_parameter("task_vocabulary.name", "bytes")
    with pytest.raises(UsageError, match="prepared with another vocabulary") as error:
        preflight.check_split(helpers.TASK, "train", use_cached=True)
    assert str(cache) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UsageError, match="prepared with another vocabulary"):
        seqio.TaskRegistry.get(helpers.TASK).get_dataset({"targets": 64}, "train", use_cached=True)


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_shard_is_named_and_written_again(prepared, tmp_path, damage):
    shutil.copytree(prepared[0], tmp_path / "copy")
    path = tmp_path / "copy" / helpers.TASK / "train.tfrecord-00001-of-00003"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    else:
        path.unlink()
    with caches.named(helpers.TASK, tmp_path / "copy"):
        with pytest.raises(UsageError, match=f"{path.name} (has|is missing)"):
            preflight.check_split(helpers.TASK, "train", use_cached=True)
        helpers.make(tmp_path / "copy")
        preflight.check_split(helpers.TASK, "train", use_cached=True)
    assert helpers.files(tmp_path / "copy" / helpers.TASK) == helpers.files(
        prepared[0] / helpers.TASK
    )


def test_a_missing_cache_is_refused_with_the_command_that_makes_it(tmp_path):
    with (
        caches.named(helpers.TASK),
        pytest.raises(UsageError, match="--additional_task_cache_dirs=DIR"),
    ):
        preflight.check_split(helpers.TASK, "train", use_cached=True)
    with (
        caches.named(helpers.TASK, tmp_path),
        pytest.raises(UsageError, match="primer data prepare --task text"),
    ):
        preflight.check_split(helpers.TASK, "train", use_cached=True)


def test_data_of_another_rule_of_the_splits_are_refused(tmp_path):
    """As data of an earlier version, or an unfinished preparation of it."""
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    gin.bind_parameter("text_files.glob", str(tmp_path / "*.txt"))
    helpers.make(tmp_path / "out", "text")
    path = tmp_path / "out" / "text" / "primer.json"
    contents = json.loads(path.read_text())
    del contents["settings"]["split_rule"]
    path.write_text(json.dumps(contents))
    with (
        caches.named(helpers.TASK, tmp_path / "out"),
        pytest.raises(UsageError, match="held out other documents.*prepare it again"),
    ):
        preflight.check_split("text", "train", use_cached=True)
    with pytest.raises(UsageError, match="split_rule: None, now 'hash"):
        helpers.make(tmp_path / "out", "text")


def test_settings_of_the_text_cannot_differ_from_the_caches(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    gin.bind_parameter("text_files.glob", str(tmp_path / "*.txt"))
    helpers.make(tmp_path / "out", "text")
    with caches.named(helpers.TASK, tmp_path / "out"):
        gin.bind_parameter("text_files.glob", None)
        preflight.check_split("text", "train", use_cached=True)
        gin.bind_parameter("text_files.unit", "line")
        with pytest.raises(UsageError, match="text_files.unit is 'line', and .* with 'file'"):
            preflight.check_split("text", "train", use_cached=True)
