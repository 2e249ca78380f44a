"""enwik8 prepared: exact bytes, though the borders of its splits fall into characters."""

import json

from tests.data import parsing

# Two bytes each but for the first: 90% and 95% of 2,001 bytes are in the middle of a character.
CONTENT = b" " + "\u00e9".encode() * 1000


def test_the_records_are_the_bytes_of_the_file(tmp_path):
    (tmp_path / "enwik8").write_bytes(CONTENT)
    words = ["--task", "enwik8", "--output", tmp_path / "out", "--workers", 1, "--shards", 2]
    words += [f"--gin_param=local_data.folder = '{tmp_path}'", "--gin_param=local_data.check=False"]
    words += ["--gin_param=local_data.block_bytes = 1024"]
    assert parsing.run("prepare", words) == 0
    found = json.loads((tmp_path / "out" / "enwik8" / "primer.json").read_text())
    borders = [0, 1800, 1900, 2001]
    for split, start, end in zip(("train", "validation", "test"), borders, borders[1:]):
        part = CONTENT[start:end]
        records = parsing.ids(tmp_path / "out" / "enwik8", f"{split}.tfrecord-*", "targets")
        read = sorted(bytes((ids - 3).tolist()) for ids in records)
        assert sum(map(len, read)) == len(part)
        assert len(read) == (2 if split == "train" else 1)
        if split != "train":
            assert read == [part]
        counts = found["splits"][split]
        assert counts["bytes"] == counts["tokens"] == len(part)
        texts = [part.decode("utf-8", "surrogateescape") for part in read]
        assert counts["characters"] == sum(map(len, texts))
        assert counts["words"] == sum(len(text.split()) for text in texts)
    assert found["bindings"] == {
        "local_data.block_bytes": 1024,
        "local_data.check": False,
        "local_data.folder": str(tmp_path),
        "task_vocabulary.name": "bytes",
    }
