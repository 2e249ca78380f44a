"""The decoding loop: ends, windows and random generators, with a table as the step graph."""

import numpy as np
import pytest
import seqio

from primer.generation import decode_loop
from primer.generation.request import Request, new_sequences
from primer.generation.sampling import Sampling

VOCABULARY = seqio.ByteVocabulary(0)
A, B = VOCABULARY.encode("ab")


class Table:
    """A StepGraph whose next token follows from the last one and the position.

    Records the prompts it reads, and refuses positions beyond its length, unless it is endless.
    """

    def __init__(self, rows, length, follow, is_endless=False):
        self.rows, self.length, self._follow = rows, length, follow
        self.is_endless = is_endless
        self.fed = []
        self.read = []

    def read_prompts(self, windows):
        assert len(windows) == self.rows and all(len(w or []) <= self.length for w in windows)
        self.read.append(windows)

    def next_logits(self, tokens, positions):
        assert max(positions) < self.length or self.is_endless
        self.fed.append((tokens.tolist(), positions.tolist()))
        logits = np.full([self.rows, 384], -20.0, np.float32)
        for row, (token, position) in enumerate(zip(tokens, positions)):
            logits[row, self._follow(int(token), int(position))] = 20
        return logits


def run(graph, prompts, max_tokens=8, stops=(), num_samples=1, seed=0, **sampling):
    request = Request(
        prompts=tuple(prompts),
        num_samples=num_samples,
        max_tokens=max_tokens,
        seed=seed,
        sampling=Sampling(**sampling),
        stops=stops,
    )
    waiting = [
        t for _, _, t in new_sequences(request, VOCABULARY, [VOCABULARY.encode(p) for p in prompts])
    ]
    pieces = list(
        decode_loop.decode_sequences(graph, waiting, request.sampling, max_tokens, VOCABULARY)
    )
    return waiting, pieces


def alternate(token, position):
    return A if token == B else B


def test_the_log_probability_is_the_models_whatever_the_temperature():
    found, _ = run(Table(1, 32, alternate), ["a"], max_tokens=3, temperature=0)
    expected = 3 * -np.log1p(383 * np.exp(-40.0))
    assert found[0].log_probability == pytest.approx(expected, rel=1e-6)
    hot, _ = run(Table(1, 32, alternate), ["a"], max_tokens=3, temperature=1e4)
    others = sum(token not in (A, B) for token in hot[0].ids[1:])
    assert hot[0].log_probability <= -40 * max(others, 1)


def end_at_eight(token, position):
    return VOCABULARY.eos_id if position == 8 else alternate(token, position)


def test_free_rows_serve_waiting_texts():
    prompts = ["b" * length for length in (1, 8, 8, 8, 5, 5, 5)]
    graph = Table(4, 32, end_at_eight)
    found, pieces = run(graph, prompts, max_tokens=9)
    assert [t.new_tokens for t in found] == [8, 1, 1, 1, 4, 4, 4]
    assert {t.reason for t in found} == {"end"} and len(pieces) == 23
    alone = [run(Table(1, 32, end_at_eight), [prompt], max_tokens=9)[0][0] for prompt in prompts]
    assert [t.ids for t in found] == [t.ids for t in alone]
    # Eight steps; two batches would take eight and four. The first row is not read again.
    assert len(graph.fed) == 8
    assert [[window and len(window) for window in read] for read in graph.read] == [
        [1, 8, 8, 8],
        [None, 5, 5, 5],
    ]


def test_waiting_texts_are_read_when_a_quarter_of_the_rows_is_free():
    lengths = (8, 7, 1, 1, 1, 1, 1, 1, 6)
    graph = Table(8, 32, end_at_eight)
    run(graph, ["b" * length for length in lengths], max_tokens=9)
    assert [positions[0] for _, positions in graph.fed[:4]] == [8, 0, 6, 7]
    assert len(graph.read) == 2 and len(graph.fed) == 8


def test_each_row_ends_at_its_own_end_token():
    def end_after_six(token, position):
        return VOCABULARY.eos_id if position == 6 else alternate(token, position)

    found, _ = run(Table(2, 32, end_after_six), ["a", "abab"])
    assert [t.reason for t in found] == ["end", "end"]
    assert [t.detokenizer.text for t in found] == ["babab", "ab"]
    assert [t.new_tokens for t in found] == [6, 3]


def test_max_tokens_ends_a_text():
    found, _ = run(Table(1, 32, alternate), ["a"], max_tokens=3)
    assert found[0].reason == "length" and found[0].detokenizer.text == "bab"


def test_a_stop_string_ends_its_own_row_only():
    found, _ = run(Table(2, 32, alternate), ["a", "b"], max_tokens=4, stops=("bab",))
    assert [(t.reason, t.detokenizer.text) for t in found] == [("stop", ""), ("stop", "a")]


def test_pieces_are_yielded_token_by_token():
    _, pieces = run(Table(1, 32, alternate), ["a"], max_tokens=3)
    assert pieces == [(0, "b"), (0, "a"), (0, "b")]


def test_an_empty_prompt_begins_a_document():
    graph = Table(1, 32, lambda token, position: A if position == 0 and token == 0 else B)
    found, _ = run(graph, [""], max_tokens=2)
    assert found[0].detokenizer.text == "ab" and graph.read == [[[]]]


def test_rows_without_a_text_are_filled():
    found, _ = run(Table(4, 32, alternate), ["a"], max_tokens=2)
    assert found[0].detokenizer.text == "ba"


def test_a_text_that_fills_the_window_continues_from_its_last_half():
    graph = Table(1, 8, alternate)
    found, _ = run(graph, ["abab"], max_tokens=12)
    assert found[0].detokenizer.text == "ab" * 6
    assert [len(windows[0]) for windows in graph.read] == [4, 4, 4]


def test_a_prompt_longer_than_the_window_keeps_its_end():
    graph = Table(1, 8, alternate)
    found, _ = run(graph, ["xxxxxxxxxxab"], max_tokens=2)
    assert graph.read[0] == [VOCABULARY.encode("xxxxab")] and found[0].detokenizer.text == "ab"


@pytest.mark.parametrize(
    "prompt, length, max_tokens, left_out",
    [(8, 8, 2, 2), (7, 8, 2, 0), (20, 8, 100, 16), (0, 8, 9, 0)],
)
def test_the_number_of_prompt_tokens_that_are_left_out(prompt, length, max_tokens, left_out):
    assert decode_loop.dropped_prompt_tokens(prompt, length, max_tokens) == left_out


def test_the_same_seed_gives_the_same_texts_in_any_batch():
    def flat(token, position):
        return A

    class Flat(Table):
        def next_logits(self, tokens, positions):
            return np.zeros([self.rows, 384], np.float32)

    together, _ = run(Flat(4, 32, flat), ["a", "b"], num_samples=2, seed=7)
    alone, _ = run(Flat(1, 32, flat), ["a"], seed=7)
    assert together[0].ids == alone[0].ids
    assert len({tuple(t.ids) for t in together}) == 4
    other, _ = run(Flat(1, 32, flat), ["a"], seed=8)
    assert other[0].ids != alone[0].ids


def test_padding_and_ids_beyond_the_vocabulary_are_never_drawn():
    class Tempting(Table):
        def next_logits(self, tokens, positions):
            logits = np.zeros([self.rows, 384], np.float32)
            logits[:, 0], logits[:, VOCABULARY.vocab_size :] = 99, 99
            return logits

    found, _ = run(Tempting(1, 64, None), ["a"], max_tokens=40)
    assert all(0 < i < VOCABULARY.vocab_size for i in found[0].ids)


def test_an_endless_graph_reads_a_long_prompt_token_by_token_and_goes_on():
    """Rows with prompts of different lengths; nothing is read twice."""
    graph = Table(2, 4, alternate, is_endless=True)
    sequences, pieces = run(graph, ["ababab", "b"], max_tokens=6)
    assert [len(text) for text in graph.read[0]] == [4, 1] and len(graph.read) == 1
    # The first row has two more tokens of its prompt; the second begins to write.
    assert [positions for _, positions in graph.fed[:3]] == [[4, 1], [5, 2], [6, 3]]
    assert [tokens for tokens, _ in graph.fed[:3]] == [[B, B], [A, A], [B, B]]
    texts = ["".join(piece for index, piece in pieces if index == row) for row in (0, 1)]
    assert texts == ["ababab", "ababab"]
    assert all(sequence.new_tokens == 6 for sequence in sequences)
