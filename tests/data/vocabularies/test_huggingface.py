"""Vocabularies of Hugging Face tokenizers, against the ids and texts of `transformers`."""

import copy
import json
import os
import pickle

import gin
import numpy as np
import pytest
import seqio
import tensorflow as tf

from primer.common import tf_data
from primer.data import whole_documents
from primer.data.vocabularies import batch_tokenize, round_trip
from primer.data.vocabularies.lines import LineVocabulary
from primer.data.vocabularies.task_vocabulary import TaskVocabulary
from primer.errors import UsageError
from primer.generation import request
from tests.data.vocabularies import tokenizers_made
from tests.data.vocabularies.tokenizers_made import HARD_TEXTS

tokenizers = pytest.importorskip("tokenizers", reason="needs the extra huggingface")

# kind -> what an id is higher than the tokenizer's, and the token that ends a document.
OFFSETS = {"gpt2": 1, "gpt_neox": 1, "llama2": 1, "llama3": 1, "bert": 0, "t5": 0}
ENDS = {"bert": "[SEP]", "t5": "</s>", "llama2": "</s>", "llama3": "<|end_of_text|>"}
LOSSLESS = ("gpt2", "llama3")


@pytest.fixture
def choose(tmp_path):
    """A function (kind, settings) that binds a golden tokenizer; returns its vocabulary."""

    def call(kind, **settings):
        path = tmp_path / kind / "tokenizer.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(tokenizers_made.golden()[kind]["tokenizer"]))
        gin.bind_parameter("task_vocabulary.name", "huggingface")
        gin.bind_parameter("task_vocabulary.model_file", str(path))
        for name, value in settings.items():
            gin.bind_parameter(f"huggingface_tokenizer.{name}", value)
        return TaskVocabulary("sotu")

    return call


@pytest.mark.parametrize("kind", OFFSETS)
def test_ids_and_texts_are_those_of_transformers(choose, kind):
    vocabulary, golden = choose(kind), tokenizers_made.golden()[kind]
    chosen, offset = vocabulary.resolve(), OFFSETS[kind]
    expected = [[number + offset for number in ids] for ids in golden["ids"]]
    assert [vocabulary.encode(text) for text in HARD_TEXTS] == expected
    in_graph = batch_tokenize.tokenize_texts(vocabulary, tf.constant(HARD_TEXTS))
    assert in_graph.to_list() == expected
    assert vocabulary.encode_tf(tf.constant(HARD_TEXTS[4])).numpy().tolist() == expected[4]
    assert [chosen.text_of(ids) for ids in expected] == golden["texts"]
    ids = tf.ragged.constant(expected).to_tensor()  # Padded with 0.
    assert [text.decode() for text in vocabulary.decode_tf(ids).numpy()] == golden["texts"]
    assert vocabulary.pad_id == 0 and 0 not in np.concatenate(expected)
    end = golden["tokenizer"]["model"]["vocab"]
    named = {token["content"]: token["id"] for token in golden["tokenizer"]["added_tokens"]}
    assert vocabulary.eos_id == named[ENDS.get(kind, "<|endoftext|>")] + offset
    assert vocabulary.vocab_size == max(len(end), *(n + 1 for n in named.values())) + offset
    if kind in LOSSLESS:
        assert golden["texts"] == HARD_TEXTS and vocabulary.unk_id is None


@pytest.mark.parametrize("kind", OFFSETS)
def test_special_tokens_of_a_text_may_be_ordinary_text(choose, kind):
    vocabulary, golden = choose(kind, split_special_tokens=True), tokenizers_made.golden()[kind]
    expected = [[number + OFFSETS[kind] for number in ids] for ids in golden["split_ids"]]
    assert [vocabulary.encode(text) for text in HARD_TEXTS] == expected
    if kind != "t5":  # A Unigram model has a piece "</s>" besides, as transformers finds it.
        assert all(vocabulary.eos_id not in ids for ids in expected)
    identity = vocabulary.identity()
    gin.clear_config()
    assert choose(kind).identity() != identity


def test_tokenizers_trained_now_agree_with_transformers():
    pytest.importorskip("transformers", reason="needs transformers")
    from primer.data.vocabularies import huggingface, tokenizer_files

    for kind, tokenizer in tokenizers_made.made(tokenizers_made.speeches()).items():
        end = ENDS.get(kind, "<|endoftext|>")
        definition = tokenizer_files.Definition(tokenizer.to_str(), end, False)
        vocabulary = huggingface.HuggingFaceVocabulary(definition)
        expected, _ = tokenizers_made.transformers_results(definition.json, HARD_TEXTS)
        for text, ids in zip(HARD_TEXTS, expected, strict=True):
            found = np.array(vocabulary.encode(text)) - vocabulary.id_offset
            assert found.tolist() == ids, (kind, text)


def test_the_end_token_is_decoded_within_a_text_only(choose):
    vocabulary = choose("gpt2")
    ids = vocabulary.encode("one<|endoftext|>two")
    assert vocabulary.eos_id in ids
    assert vocabulary.decode([*ids, vocabulary.eos_id, 0, 0]) == "one<|endoftext|>two"
    assert vocabulary.decode([vocabulary.vocab_size + 5, *ids[:1], 0]) == vocabulary.decode(ids[:1])


def test_a_prompt_may_end_with_the_end_token(choose, capfd):
    vocabulary = choose("gpt2")
    (ids,) = request.encode_prompts(vocabulary, ["one<|endoftext|>"])
    assert ids[-1] == vocabulary.eos_id and "cannot represent" not in capfd.readouterr().err
    request.encode_prompts(choose("bert"), ["Naïve"])
    assert "'Naïve': the model reads 'naive'" in capfd.readouterr().err


def test_padding_in_a_text_is_no_padding(choose):
    vocabulary = choose("bert")
    ids = vocabulary.encode("union [PAD] union")
    assert 0 not in ids and vocabulary.unk_id in ids
    assert ids == vocabulary.encode("union [UNK] union")


def test_what_is_not_given_back_is_counted(choose):
    vocabulary = choose("bert")
    texts = ["Naïve", "the union", "☃"]
    ids = [np.array(vocabulary.encode(text)) for text in texts]
    found = round_trip.changes_in(vocabulary, [text.encode() for text in texts], ids)
    assert (found.documents, found.changed, found.unknown) == (3, 2, 1)
    gin.clear_config()
    vocabulary = choose("gpt2")
    documents = [text.encode() for text in HARD_TEXTS]
    ids = [np.array(vocabulary.encode(text), np.int32) for text in HARD_TEXTS]
    assert round_trip.changes_in(vocabulary, documents, ids).changed == 0
    lines = LineVocabulary("sotu")
    ids = [np.array(lines.encode(text), np.int32) for text in HARD_TEXTS]
    ids = [ids[place] for place in range(12)]  # Without the text that has an end token.
    assert round_trip.changes_in(lines, documents[:12], ids).changed == 0


def test_bytes_that_are_not_utf8_are_replaced(choose):
    vocabulary = choose("gpt2")
    broken = b"a\xffb".decode("utf-8", "surrogateescape")
    assert vocabulary.encode(broken) == vocabulary.encode("a\ufffdb")
    (ids,) = whole_documents.encode(vocabulary, ["a\ufffdb"])
    assert ids.tolist() == vocabulary.encode("a\ufffdb")


def test_a_pipeline_with_it_can_be_saved_and_restored(choose, tmp_path):
    """The position of an input pipeline is part of a checkpoint (`saving/checkpoint_writer.py`)."""
    vocabulary = choose("gpt2")
    texts = tf.data.Dataset.from_tensor_slices(HARD_TEXTS)
    iterator = iter(texts.map(vocabulary.encode_tf, tf.data.AUTOTUNE))
    for _ in range(4):
        next(iterator)
    saved = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "position"))
    expected = [next(iterator).numpy().tolist() for _ in range(3)]
    again = iter(texts.map(vocabulary.encode_tf, tf.data.AUTOTUNE))
    tf.train.Checkpoint(iterator=again).restore(saved)
    assert [next(again).numpy().tolist() for _ in range(3)] == expected
    function = tf_data.TextFunction(lambda s: [vocabulary.resolve().encode_tf(s).flat_values])
    assert function([b"the union"])[0].tolist() == vocabulary.encode("the union")


def test_vocabularies_can_be_copied_pickled_and_compared(choose):
    vocabulary = choose("t5").resolve()
    for twin in (copy.deepcopy(vocabulary), pickle.loads(pickle.dumps(vocabulary))):
        assert twin == vocabulary and hash(twin) == hash(vocabulary)
        assert twin.encode("the union") == vocabulary.encode("the union")
    assert vocabulary != choose("bert").resolve() and vocabulary != seqio.ByteVocabulary()


def test_extra_ids_have_no_text(choose):
    gin.bind_parameter("task_vocabulary.extra_ids", 5)
    vocabulary = choose("gpt2")
    assert vocabulary.vocab_size == 401 + 1 + 5
    assert vocabulary.decode([vocabulary.vocab_size - 1, *vocabulary.encode("a")]) == "a"


def test_special_tokens_are_named(choose):
    special = choose("llama3").resolve().special_ids
    assert special == [401, 402]
    assert choose("gpt2").resolve().piece(choose("gpt2").encode(" the")[0]) == "Ġthe"


def test_batch_settings_of_a_file_are_not_used(choose, tmp_path):
    definition = json.loads(json.dumps(tokenizers_made.golden()["gpt2"]["tokenizer"]))
    made = tokenizers.Tokenizer.from_str(json.dumps(definition))
    made.enable_truncation(4)
    made.enable_padding(length=8)
    path = tmp_path / "cut.json"
    made.save(str(path))
    identity = choose("gpt2").identity()
    gin.bind_parameter("task_vocabulary.model_file", str(path))
    assert len(TaskVocabulary("sotu").encode("Fellow-Citizens of the Senate")) > 8
    assert TaskVocabulary("sotu").identity() == identity


def test_without_the_package_the_error_says_what_to_install(choose, monkeypatch):
    vocabulary = choose("gpt2")
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(UsageError, match=r"pip install 'primer\[huggingface\]'"):
        vocabulary.encode("a")


@pytest.mark.skipif(
    "PRIMER_GPT2_FOLDER" not in os.environ,
    reason="PRIMER_GPT2_FOLDER names no folder with GPT-2's vocab.json and merges.txt",
)
def test_the_tokenizer_of_gpt2():
    gin.bind_parameter("task_vocabulary.name", "huggingface")
    gin.bind_parameter("task_vocabulary.model_file", os.environ["PRIMER_GPT2_FOLDER"])
    vocabulary = TaskVocabulary("sotu")
    assert (vocabulary.vocab_size, vocabulary.eos_id, vocabulary.id_offset) == (50258, 50257, 1)
    # The example of https://huggingface.co/docs/transformers/model_doc/gpt2
    assert vocabulary.encode("Hello world") == [15496 + 1, 995 + 1]
    assert vocabulary.encode(" Hello world") == [18435 + 1, 995 + 1]
    for text in (*HARD_TEXTS, *tokenizers_made.speeches()):
        assert vocabulary.resolve().text_of(vocabulary.encode(text)) == text
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    definition = vocabulary.resolve().definition.json
    expected, _ = tokenizers_made.transformers_results(definition, HARD_TEXTS)
    found = [np.array(vocabulary.encode(text)) - 1 for text in HARD_TEXTS]
    assert [ids.tolist() for ids in found] == expected
    model = json.loads(definition)["model"]
    vocab, merges = model["vocab"], [tuple(pair) for pair in model["merges"]]
    slow = transformers.GPT2Tokenizer(vocab=vocab, merges=merges)
    assert [slow(text)["input_ids"] for text in HARD_TEXTS] == expected
