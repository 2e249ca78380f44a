"""Files of both formats, read back by TensorFlow; a full disk."""

import os

import pytest

from primer.data import whole_documents
from primer.data.prepared import writers
from primer.errors import RunError
from tests.data import parsing
from tests.data.prepared import helpers

pytestmark = pytest.mark.usefixtures("corpus_settings")


def test_a_full_disk_is_one_message_and_keeps_finished_shards(tmp_path, monkeypatch):
    stock = writers.SeqioWriter.__init__

    def init(self, directory, split, index, *rest):
        if index == 1 and split == "train":
            # The file of this shard is the device that is always full.
            os.symlink("/dev/full", os.path.join(directory, f".{split}-{index:05d}.unfinished"))
        stock(self, directory, split, index, *rest)

    monkeypatch.setattr(writers.SeqioWriter, "__init__", init)
    with pytest.raises(RunError, match="no space left for shard 1 of 3 in") as error:
        helpers.make(tmp_path)
    assert "\n" not in str(error.value) and "same command again" in str(error.value)
    folder = tmp_path / helpers.TASK
    assert len(helpers.files(folder)) == 2 and not list(folder.glob(".*unfinished"))
    monkeypatch.undo()
    helpers.make(tmp_path)
    assert (folder / "COMPLETED").exists()


def test_records_of_gpt_neo(tmp_path):
    found = helpers.make(tmp_path, format="gpt_neo")
    folder = tmp_path / helpers.TASK
    expected = [
        ids.tolist() + [1] for _, ids in whole_documents.documents(helpers.TASK, "validation")
    ]
    documents = [ids.tolist() for ids in parsing.ids(folder, "validation_*", "text")]
    assert sorted(documents) == sorted(expected)
    for path in folder.glob("*.tfrecords"):
        # GPT-Neo takes the number of records from the name.
        number = int(path.name.split("_")[-1].split(".")[0])
        assert number == len(list(parsing.ids(folder, path.name, "text")))
    assert not (folder / "COMPLETED").exists()
    assert found["splits"]["validation"]["tokens"] == sum(map(len, expected)) - len(expected)


def test_chunks_of_gpt_neo(tmp_path):
    found = helpers.make(tmp_path, format="gpt_neo", chunk_size=129)
    chunks = [ids.tolist() for ids in parsing.ids(tmp_path / helpers.TASK, "train_*", "text")]
    assert {len(chunk) for chunk in chunks} == {129}
    parts = [shard["splits"]["train"] for shard in found["shards"]]
    left_out = sum(part["left_out_tokens"] for part in parts)
    counted = found["splits"]["train"]
    assert len(chunks) * 129 + left_out == counted["tokens"] + counted["examples"]
    assert 0 < left_out < 3 * 129
