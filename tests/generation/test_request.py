"""Requests: prompts of files, their tokens, and values out of range."""

import pytest
import seqio

from primer.errors import UsageError
from primer.generation import request


@pytest.mark.parametrize("content", [b"", b"caf\xe9"], ids=["empty", "latin-1"])
def test_a_bad_file_of_prompts_is_refused(content, tmp_path):
    path = tmp_path / "prompts"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="prompts"):
        request.read_prompts([], str(path))


def test_prompts_that_the_vocabulary_cannot_represent_are_reported(tmp_path, capfd):
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sat on the mat", "a dog ran"] * 20),
        model_prefix=str(tmp_path / "latin"),
        vocab_size=18,
        minloglevel=2,
    )
    vocabulary = seqio.SentencePieceVocabulary(str(tmp_path / "latin.model"), 0)
    (known, unknown) = request.encode_prompts(vocabulary, ["the cat", "the \u6f22 cat"])
    assert known and vocabulary.unk_id in unknown
    (line,) = capfd.readouterr().err.strip().splitlines()[-1:]
    assert "cannot represent the prompt 'the \u6f22 cat'" in line
    assert "1 unknown token in it" in line


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"prompts": ()}, "no prompt"),
        ({"num_samples": 0}, "num_samples = 0: expected"),
        ({"max_tokens": 2.5}, "max_tokens = 2.5: expected"),
        ({"seed": -1}, "seed = -1: expected"),
        ({"stops": ("a", "")}, "stop = ''"),
    ],
)
def test_values_out_of_range_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        request.Request(**settings)


def test_prompts_of_a_file_follow_those_given(tmp_path):
    path = tmp_path / "prompts"
    path.write_text("\ufeffone\n\ncaf\u00e9", encoding="utf-8")
    assert request.read_prompts(["zero"], str(path)) == ("zero", "one", "", "caf\u00e9")
    assert request.read_prompts(None) == ("",)
    with pytest.raises(UsageError, match="nowhere.*no such file"):
        request.read_prompts([], "nowhere")


def test_a_prompt_ends_at_a_line_end_only(tmp_path):
    path = tmp_path / "prompts"
    path.write_bytes("one\u2028still\x0cone\x85\rtwo\r\n\nfour\r".encode())
    expected = ("one\u2028still\x0cone\x85", "two", "", "four")
    assert request.read_prompts(None, str(path)) == expected


def test_bytes_that_are_not_utf8_are_refused():
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        request.encode_prompts(seqio.ByteVocabulary(0), ["fine", "caf\udce9"])


def test_each_sample_of_each_prompt_is_a_sequence_of_its_own():
    two_samples = request.Request(prompts=("a", "b"), num_samples=2, seed=3)
    found = request.new_sequences(two_samples, seqio.ByteVocabulary(0), [[4], [5, 6]])
    assert [(prompt, sample) for prompt, sample, _ in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    sequences = [sequence for _, _, sequence in found]
    assert [s.ids for s in sequences] == [[4], [4], [5, 6], [5, 6]]
    assert all(s.new_tokens == 0 and s.reason is None for s in sequences)
    sequences[0].ids.append(9)
    assert sequences[1].ids == [4]
    assert len({s.rng.random() for s in sequences}) == 4
