"""Every format and compression is opened as the same bytes, and truncated files raise."""

import json

import numpy as np
import pytest

from primer.data import preflight
from primer.data.sources import formats
from primer.errors import UsageError
from tests.data.sources.text_task import bind, read, write

zstandard = pytest.importorskip("zstandard")


TEXTS = ["plain words", "caf\xe9 \u2603 \U0001f600", "line\nline", "  blanks kept \t", "x" * 3000]


@pytest.mark.parametrize("end", formats.COMPRESSIONS)
def test_json_lines_in_every_compression(tmp_path, end):
    lines = "\n".join(json.dumps({"text": text}) for text in TEXTS)
    write(tmp_path / f"a.jsonl{end}", lines.encode())
    bind(glob=str(tmp_path / "a*"), held_out=0.0)
    assert read() == TEXTS


@pytest.mark.parametrize("end", formats.COMPRESSIONS)
def test_whole_files_in_every_compression(tmp_path, end):
    for number, content in enumerate(TEXTS):
        write(tmp_path / f"{number}.txt{end}", content.encode())
    bind(glob=str(tmp_path / "*.txt*"), held_out=0.0)
    assert read() == TEXTS


def test_all_frames_of_a_zstandard_file_are_read(tmp_path):
    parts = [zstandard.compress(f"line {number}\n".encode() * 99) for number in range(5)]
    (tmp_path / "a.txt.zst").write_bytes(b"".join(parts))
    bind(glob=str(tmp_path / "a.txt.zst"), unit="line", held_out=0.0)
    assert read() == [f"line {number}" for number in range(5) for _ in range(99)]


@pytest.mark.parametrize("end", formats.COMPRESSIONS)
def test_streams_read_in_pieces_and_by_line(tmp_path, end):
    content = b"".join(b"line %d\n" % number for number in range(100_000))
    write(tmp_path / f"a.txt{end}", content)
    with formats.open_stream(str(tmp_path / f"a.txt{end}")) as stream:
        assert stream.readline() == b"line 0\n"
        pieces = iter(lambda: stream.read(1000), b"")
        assert b"".join(pieces) == content[len(b"line 0\n") :]


@pytest.mark.parametrize("end", [".gz", ".zst", ".xz"])
def test_truncated_streams_raise_eof_error(tmp_path, end):
    path = tmp_path / f"a.txt{end}"
    write(path, np.random.default_rng(1).bytes(400_000))
    path.write_bytes(path.read_bytes()[:-100])
    with formats.open_stream(str(path)) as stream, pytest.raises(EOFError):
        while stream.read(1 << 16):
            pass


def test_suffixes_decide_the_format():
    assert formats.is_json("a.jsonl.zst") and not formats.is_json("a.json.txt")
    assert formats.can_seek("a.jsonl") and not formats.can_seek("a.txt.gz")
    assert set(formats.READ_BY_TENSORFLOW) < set(formats.SUFFIXES)


@pytest.mark.parametrize("end", [".gz", ".zst", ".xz"])
def test_error_names_a_truncated_compressed_file(tmp_path, end):
    noise = np.random.default_rng(1).integers(97, 123, 400_000, np.uint8).tobytes()
    path = tmp_path / f"cut.txt{end}"
    write(path, noise)
    path.write_bytes(path.read_bytes()[:-100])
    bind(glob=str(path), held_out=0.0)
    with pytest.raises(UsageError, match=f"cut.txt{end} cannot be read"):
        preflight.check_split("text", "train")
