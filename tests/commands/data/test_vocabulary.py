"""`primer data vocabulary`: the file that it writes, its output, and the options it refuses."""

import gzip
import hashlib
import json

import pytest
import sentencepiece

from primer.common import tf_data
from primer.data.sources import text_files
from tests.command_lines import run

COMMON = "the quick brown fox jumps over the lazy dogs and quickly goes to the foxes"


@pytest.fixture
def vocabulary(tmp_path, capfd):
    """A function (words, code) that runs the command; returns the file and the printed text."""

    def call(*words, code=0, output=tmp_path / "out" / "V.model"):
        capfd.readouterr()
        assert run("data", "vocabulary", "--output", output, *words) == code
        return output, capfd.readouterr()

    return call


@pytest.fixture
def folder(tmp_path):
    """Sixty documents in files of three kinds; words of a document contain its number."""
    folder = tmp_path / "texts"
    folder.mkdir()
    texts = [" ".join(f"{n}x{k} {COMMON}" for k in range(9)) + "\n" for n in range(60)]
    for n in range(20):
        (folder / f"{n}.txt").write_text(texts[n])
        (folder / f"{n + 20}.txt.gz").write_bytes(gzip.compress(texts[n + 20].encode()))
    lines = [json.dumps({"body": text}) for text in texts[40:]]
    (folder / "rest.jsonl").write_text("\n".join(lines))
    return folder


def documents_of(words):
    """The numbers of the documents that contain the words."""
    return {int(word.split("x")[0]) for word in words if word[0].isdigit()}


def held_out_by_the_reader(folder, share):
    """The documents of the validation split, from the reader of training."""
    import gin

    gin.bind_parameter("text_files.glob", str(folder / "*"))
    gin.bind_parameter("text_files.field", "body")
    gin.bind_parameter("text_files.held_out", share)
    found = tf_data.elements(lambda: text_files.split_dataset("validation"))
    return documents_of(example["text"].decode().split()[0] for example in found)


def test_held_out_documents_are_not_used(vocabulary, folder):
    words = ("--input", folder / "*", "--field", "body", "--held_out", 0.3, "--model", "words")
    path, printed = vocabulary(*words)
    entries = [line.split("\t")[0] for line in path.read_text().splitlines()[3:]]
    held_out = held_out_by_the_reader(folder, 0.3)
    assert 5 < len(held_out) < 35
    assert documents_of(entries) == set(range(60)) - held_out
    assert f"made from {60 - len(held_out)} documents" in printed.out
    assert "of held-out text (split validation)" in printed.out and "unknown" in printed.out


def test_the_same_command_gives_the_same_file(vocabulary, folder, tmp_path):
    words = ("--input", *sorted(folder.glob("*.txt")), folder / "*.gz", "--size", 300)
    first, printed = vocabulary(*words)
    again, _ = vocabulary(*words, output=tmp_path / "again.model")
    turned = ("--input", folder / "*.gz", *sorted(folder.glob("*.txt"))[::-1], "--size", 300)
    other, _ = vocabulary(*turned, output=tmp_path / "turned.model")
    assert first.read_bytes() == again.read_bytes() == other.read_bytes()
    assert hashlib.sha256(first.read_bytes()).hexdigest() in printed.out
    assert "300 pieces (unigram, with byte fallback)" in printed.out
    assert f"task_vocabulary.model_file = '{first}'" in printed.out
    assert not list(first.parent.glob("*.part"))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(first))
    assert (processor.get_piece_size(), processor.eos_id()) == (300, 1)


def test_the_training_split_of_a_task_is_used(vocabulary, folder):
    words = ("--task", "text", "--gin_param", f"text_files.glob = '{folder}/*.txt'")
    more = ("--gin_param", "text_files.held_out = 0.0", "--model", "characters")
    path, printed = vocabulary(*words, *more)
    assert path.read_text().splitlines()[3].startswith("\\x20\t")
    assert "of the text it was made from" in printed.out
    _, printed = vocabulary("--task", "sotu", "--model", "characters", "--overwrite")
    assert "224 documents, 10.8 MB, of the split train of sotu" in printed.out


def test_a_byte_level_bpe_is_a_tokenizer_json(vocabulary, folder, tmp_path):
    tokenizers = pytest.importorskip("tokenizers", reason="needs the extra huggingface")
    words = ("--input", folder / "*.txt", "--kind", "byte_bpe", "--size", 280)
    path, printed = vocabulary(*words, output=tmp_path / "tokenizer.json")
    assert tokenizers.Tokenizer.from_file(str(path)).get_vocab_size() == 280
    assert "280 tokens (byte-level BPE)" in printed.out
    assert "The vocabulary gives back each of these texts." in printed.out
    assert "task_vocabulary.name = 'huggingface'" in printed.out


@pytest.mark.parametrize(
    "words, messages",
    [
        ([], ["--input GLOB or --task TASK"]),
        (["--input", "x", "--task", "sotu"], ["one of them"]),
        (["--task", "sotu", "--held_out", "0.1"], ["--held_out 0.1 goes with --input"]),
        (["--task", "sotuu"], ["'sotuu'", "did you mean 'sotu'"]),
        (["--input", "nowhere/*.txt"], ["--input is", "matches no file"]),
        (["--input", "x", "--model", "words", "--character_coverage", "1"], ["has no effect"]),
        (["--input", "x", "--min_count", "2"], ["--min_count has no effect with --model unigram"]),
        (["--input", "x", "--size", "3"], ["--size is 3"]),
        (["--input", "x", "--model", "byte_bpe"], ["V.model", "ends in .json"]),
        (["--input", "x", "--model", "byte_bpe", "--min_count", "2"], ["has no effect"]),
        (["--input", "x", "--sample_megabytes", "0"], ["--sample_megabytes is 0"]),
        (["--input", "x", "--character_coverage", "0.5"], ["0.98 to 1"]),
        (["--input", "x", "--held_out", "1"], ["--held_out is 1.0"]),
        (["--task", "sotu", "--gin_param", "text_files.glub = 1"], ["glub"]),
        (["--task", "sotu", "--gin_file", "nowhere.gin"], ["nowhere.gin", "no such file"]),
        (["--task", "sotu", "--module_import", "nowhere_at_all"], ["nowhere_at_all"]),
    ],
)
def test_invalid_options_are_one_error_line(words, messages, vocabulary):
    path, printed = vocabulary(*words, code=2)
    (line,) = [line for line in printed.err.splitlines() if line.startswith("primer: ")]
    assert all(message in line for message in messages) and "Traceback" not in printed.err
    assert not path.exists()


@pytest.mark.parametrize(
    "name, content, messages",
    [
        ("latin.txt", b"fine\ncaf\xe9\n", ["latin.txt", "not UTF-8", "line 2"]),
        ("empty.txt", b" \n", ["no document", "--input"]),
        ("few.txt", b"a few words only\n", ["--size is 8192", "set it to <= "]),
        ("page.pdf", b"%PDF", ["page.pdf", ".jsonl"]),
    ],
)
def test_unusable_texts_are_one_error_line(name, content, messages, vocabulary, tmp_path):
    (tmp_path / name).write_bytes(content)
    path, printed = vocabulary("--input", tmp_path / name, "--held_out", 0, code=2)
    (line,) = [line for line in printed.err.splitlines() if line.startswith("primer: ")]
    assert all(message in line for message in messages), line
    assert not path.exists()


def test_an_existing_file_is_not_overwritten(vocabulary, folder, tmp_path):
    path = tmp_path / "kept.model"
    path.write_text("mine")
    words = ("--input", folder / "*.txt", "--size", 300)
    _, printed = vocabulary(*words, code=2, output=path)
    assert "is there already" in printed.err and path.read_text() == "mine"
    # A command that fails keeps the file as well.
    _, printed = vocabulary(*words[:2], "--overwrite", code=2, output=path)
    assert "set it to <=" in printed.err and path.read_text() == "mine"
    text = sorted(folder.glob("*.txt"))[0]
    before = text.read_bytes()
    _, printed = vocabulary(*words, "--overwrite", code=2, output=text)
    assert "which this command reads" in printed.err and text.read_bytes() == before
    vocabulary(*words, "--overwrite", output=path)
    assert path.stat().st_size > 1000


def test_error_names_an_output_that_cannot_be_written(vocabulary, folder, tmp_path):
    (tmp_path / "file").write_text("no folder")
    words = ("--input", folder / "*.txt", "--model", "words")
    path, printed = vocabulary(*words, code=2, output=tmp_path / "file" / "V.txt")
    (line,) = [line for line in printed.err.splitlines() if line.startswith("primer: ")]
    assert f"{path} cannot be written" in line
