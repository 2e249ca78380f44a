"""Requests of many texts: batches, graphs and what is said of texts that do not fit."""

import numpy as np
import pytest
import seqio

from primer.generation import generator
from primer.generation.request import Request
from primer.generation.sampling import Sampling

BYTES = seqio.ByteVocabulary(0)
GREEDY = Sampling(temperature=0)


class NextByte:
    """Stands in for a step graph: the byte after the last one follows; notes all graphs."""

    made: list = []
    is_endless = False

    def __init__(self, model, rows, length, *mesh, prompt_length):
        self.prompt_length = prompt_length
        self.rows, self.length, self.restored, self.closed = rows, length, None, False
        self.made.append(self)

    def restore(self, checkpoint):
        self.restored = checkpoint

    def read_prompts(self, windows):
        assert len(windows) == self.rows
        assert max(len(window or []) for window in windows) <= self.prompt_length

    def next_logits(self, tokens, positions):
        assert max(positions) < self.length
        logits = np.zeros([self.rows, 384], np.float32)
        logits[np.arange(self.rows), np.maximum(tokens + 1, 100)] = 9
        return logits

    def close(self):
        self.closed = True


@pytest.fixture
def graphs(monkeypatch):
    monkeypatch.setattr(generator, "StepGraph", NextByte)
    monkeypatch.setattr(NextByte, "made", [])
    return NextByte.made


def make(length=128, mesh_shape="", layout_rules=""):
    return generator.Generator("model", BYTES, length, "ckpt", mesh_shape, layout_rules, None)


def texts(made, prompts, **settings):
    """(prompt index, sample index) -> text, and the indices of the batches' pieces."""
    request = Request(prompts=tuple(prompts), sampling=GREEDY, **settings)
    found, order = {}, []
    for prompt, sample, _, piece in made.generate(request):
        found[prompt, sample] = found.get((prompt, sample), "") + piece
        order.append((prompt, sample))
    return found, order


def test_every_sample_is_generated_in_batches(graphs):
    prompts = [chr(ord("a") + number) for number in range(9)]
    found, order = texts(make(), prompts, num_samples=2, max_tokens=3)
    assert {key: text for key, text in found.items() if key[1] == 1} == {
        (number, 1): "".join(chr(ord(prompt) + n) for n in (1, 2, 3))
        for number, prompt in enumerate(prompts)
    }
    # Two batches of nine: sixteen and two would compute fourteen rows for nothing.
    assert len(found) == 18 and [graph.rows for graph in graphs] == [9]
    assert order[:9] == order[9:18] and len(set(order[:9])) == 9
    assert order[27:36] == order[36:45] and not set(order[:9]) & set(order[27:])


def test_batches_have_prompts_of_similar_length(graphs):
    """Short prompts do not pay for the positions of long ones; the texts are the same."""
    prompts = ["a" * (1 + 99 * (number % 2)) for number in range(32)]
    found, order = texts(make(), prompts, max_tokens=2)
    assert {prompt % 2 for prompt, _ in order[:32]} == {1} and len(found) == 32
    assert set(found.values()) == {"bc"}
    sizes = [(graph.rows, graph.length, graph.prompt_length) for graph in graphs]
    assert sizes == [(16, 128, 128), (16, 32, 32)] and graphs[0].closed


def test_rows_of_prompts_are_as_long_as_the_prompts(graphs):
    made = make(length=64)
    texts(made, ["a"], max_tokens=60)
    assert (graphs[0].length, graphs[0].prompt_length) == (64, 32)
    texts(made, ["a"], max_tokens=80)  # A full window is read again.
    assert (graphs[1].length, graphs[1].prompt_length) == (64, 64)
    texts(made, ["a" * 40], max_tokens=8)
    texts(made, ["a", "b"], max_tokens=8)
    assert [graph.rows for graph in graphs] == [1, 1, 2]


def test_requests_of_similar_length_share_a_graph(graphs):
    made = make()
    for tokens in (3, 20, 40, 41):
        texts(made, ["a"], max_tokens=tokens)
    assert [graph.length for graph in graphs] == [32, 64]
    assert [graph.closed for graph in graphs] == [True, False]
    assert {graph.restored for graph in graphs} == {"ckpt"}
    made.close()
    assert graphs[1].closed


def test_the_mesh_divides_the_rows(graphs):
    texts(make(mesh_shape="batch:2", layout_rules="batch:batch"), ["a", "b", "c"], max_tokens=1)
    assert graphs[0].rows == 4


def test_texts_that_do_not_fit_are_reported(graphs, capfd):
    texts(make(length=16), ["x" * 20], max_tokens=8)
    error = capfd.readouterr().err
    assert "a prompt of 20 tokens, and the model reads 16 at a time: the first 12 are left" in error
    assert "texts of up to 28 tokens" in error and "goes on from the last 8" in error
    assert graphs[0].length == 16
    texts(make(length=16), ["x"], max_tokens=8)
    assert capfd.readouterr().err == ""
