"""Files of Hugging Face tokenizers: which are read, which token ends a document, and errors."""

import json

import gin
import pytest

from primer.data.vocabularies import tokenizer_files
from primer.data.vocabularies.task_vocabulary import TaskVocabulary
from primer.data.vocabularies.tokenizer_files import Settings
from primer.errors import UsageError
from tests.data.vocabularies import tokenizers_made

pytest.importorskip("tokenizers", reason="needs the extra huggingface")


@pytest.fixture
def write(tmp_path):
    """A function (name, JSON or text) that writes a file into one folder; returns its path."""

    def call(name, content):
        path = tmp_path / "hf" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return call


def tokenizer(kind):
    """A copy of a golden tokenizer.json."""
    return json.loads(json.dumps(tokenizers_made.golden()[kind]["tokenizer"]))


def choose(path, **settings):
    gin.clear_config()
    gin.bind_parameter("task_vocabulary.name", "huggingface")
    gin.bind_parameter("task_vocabulary.model_file", str(path))
    for name, value in settings.items():
        gin.bind_parameter(f"huggingface_tokenizer.{name}", value)
    return TaskVocabulary("sotu")


@pytest.mark.parametrize("names", [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")])
def test_the_two_files_of_gpt2_give_the_same_ids(write, tmp_path, names):
    golden = tokenizers_made.golden()["gpt2"]
    model = golden["tokenizer"]["model"]
    write(names[0], {**model["vocab"], "<|endoftext|>": 400})
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    write(names[1], f"#version: 0.2\n{merges}\n")
    vocabulary = choose(tmp_path / "hf")
    expected = [[number + 1 for number in ids] for ids in golden["ids"]]
    assert [vocabulary.encode(text) for text in tokenizers_made.HARD_TEXTS] == expected
    assert (vocabulary.eos_id, vocabulary.vocab_size) == (401, 402)
    assert vocabulary.setting()["model_file"] == str(tmp_path / "hf")


def test_a_copy_has_all_that_decides_the_ids(write, tmp_path):
    write("tokenizer_config.json", {"eos_token": {"content": "<|begin_of_text|>"}})
    path = write("tokenizer.json", tokenizer("llama3"))
    vocabulary = choose(path, split_special_tokens=True)
    identity, end = vocabulary.identity(), vocabulary.eos_id
    assert vocabulary.resolve().tokenizer.id_to_token(end - 1) == "<|begin_of_text|>"
    name, content = vocabulary.file()
    assert name == "vocabulary.json"
    copied = tmp_path / "elsewhere.json"
    copied.write_bytes(content)
    assert vocabulary.original_content() == content
    with vocabulary.reading_copy(str(copied)):
        assert vocabulary.identity() == identity and vocabulary.file()[1] == content
    assert choose(copied).identity() == identity
    assert choose(copied, end_token="<|end_of_text|>").identity() != identity
    assert choose(copied, split_special_tokens=False).identity() != identity


def test_a_changed_file_is_read_again(write):
    path = write("tokenizer.json", tokenizer("llama3"))
    vocabulary = choose(path)
    first = vocabulary.eos_id
    write("tokenizer_config.json", {"eos_token": "<|begin_of_text|>"})
    assert vocabulary.eos_id == first - 1


@pytest.mark.parametrize(
    "config, settings, end",
    [
        ({}, {}, "<|end_of_text|>"),
        ({"eos_token": "<|begin_of_text|>"}, {}, "<|begin_of_text|>"),
        ({"eos_token": None}, {"end_token": "a"}, "a"),
    ],
)
def test_the_end_token(write, config, settings, end):
    write("tokenizer_config.json", config)
    path = write("tokenizer.json", tokenizer("llama3"))
    assert tokenizer_files.read(path, Settings(**settings)).end_token == end


def test_what_is_no_tokenizer_is_one_error_line(write, tmp_path):
    without = {"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}
    broken = tokenizer("gpt2")
    broken["pre_tokenizer"] = {"type": "Nothing"}
    cases = [
        (write("a.json", "{"), {}, ["a.json", "not a Hugging Face tokenizer"]),
        (write("b.json", "[1]"), {}, ["it holds a JSON list"]),
        (write("c.json", {"d_model": 5}), {}, ["neither a key 'model' nor tokens"]),
        (write("d.json", {"model": {}}), {}, ["its model has no vocabulary"]),
        (write("e.json", without), {}, ["does not say which token", "end_token"]),
        (write("f.json", broken), {}, ["f.json", "not a Hugging Face tokenizer"]),
        (write("g.json", tokenizer("gpt2")), {"end_token": "</s>"}, ["'</s>', which is none"]),
        (write("h.json", tokenizer("gpt2")), {"end_token": 5}, ["end_token is 5"]),
        (write("i.json", tokenizer("gpt2")), {"split_special_tokens": 1}, ["True or False"]),
        (write("encoder.json", {str(n): n for n in range(256)}), {}, ["vocab.bpe", "beside"]),
        (str(tmp_path), {}, ["a folder without a tokenizer"]),
        (str(tmp_path / "none.json"), {}, ["none.json", "does not exist"]),
    ]
    for path, settings, words in cases:
        with pytest.raises(UsageError) as error:
            choose(path, **settings).encode("a")
        message = str(error.value)
        assert "\n" not in message and all(word in message for word in words), message
    write("vocab.json", {str(n): n for n in range(256)})
    write("merges.txt", "#version: 0.2\na b c\n")
    with pytest.raises(UsageError, match="has the line 'a b c'"):
        choose(tmp_path / "hf" / "vocab.json").encode("a")
    gin.clear_config()
    gin.bind_parameter("task_vocabulary.name", "huggingface")
    with pytest.raises(UsageError, match="model_file is not set; .* or of a tokenizer.json"):
        TaskVocabulary("sotu").encode("a")
