"""The fixtures of the tests of sources: files of the task `text`, and local data sets."""

import json
import random

import gin
import pytest

from tests.data.sources.text_task import write


@pytest.fixture
def mixed_files(tmp_path):
    """A folder of files that TensorFlow reads, with odd line ends, marks and blank lines."""
    noise = random.Random(3)
    for number in range(5):
        lines = [
            "".join(noise.choices("ab \xe9\u2603\t", k=noise.randrange(40)))
            + noise.choice(["", "\r"])
            for _ in range(60)
        ]
        write(tmp_path / f"{number}.txt{['', '.gz'][number % 2]}", "\n".join(lines).encode())
        content = "\n".join(json.dumps({"text": line}) for line in lines)
        write(tmp_path / f"{number}.jsonl{['', '.gz'][number % 2]}", content.encode())
    (tmp_path / "mark.txt").write_bytes("\ufeffmarked\r\nline\rend".encode())
    return tmp_path


@pytest.fixture
def local_data(tmp_path):
    """A function (folder, vocabulary, settings) that binds local_data; returns the folder."""

    def bind(folder=tmp_path, vocabulary="bytes", **settings):
        gin.bind_parameter("local_data.folder", str(folder))
        gin.bind_parameter("task_vocabulary.name", vocabulary)
        for name, value in settings.items():
            gin.bind_parameter(f"local_data.{name}", value)
        return folder

    return bind


@pytest.fixture
def shortened_files(local_data, tmp_path):
    """The folder of local data sets, without a check of their sizes and checksums."""
    return local_data(tmp_path, check=False)
