"""What an objective reads of its documents in an epoch, against sampling and by hand."""

import gin
import numpy as np
import pytest
import tensorflow as tf

from primer.data import tasks  # noqa: F401
from primer.data.objectives import epoch_size
from primer.data.objectives.epoch_size import EpochSize
from tests.data.objectives import helpers

SIZES = np.array([0, 1, 7, 8, 9, 30])


@pytest.mark.parametrize(
    "size, positions",
    [
        (EpochSize("lm_documents", 4), 61),
        (EpochSize("lm_stream", 4), 61),
        (EpochSize("chunks", 4), 4 * (1 + 1 + 2 + 3 + 3 + 8)),
        (EpochSize("documents_random", 4), 6 * 4),
        (EpochSize("documents_random", 4, stitch=2), 3 * 4),
        (EpochSize("lm", None), 55),
        (EpochSize("lm", 11), 55 * 11 // 10),  # Ten tokens and an end token in a row.
        (EpochSize("lm", 11, piece=8), (0 + 1 + 7 + 8 + 5 + 8) * 11 // 10),
    ],
)
def test_the_positions_of_an_epoch(size, positions):
    assert size.total(SIZES) == positions
    in_graph = size.positions(tf.constant(SIZES), tf.maximum)
    assert size.scaled(int(tf.reduce_sum(in_graph))) == positions
    if size.objective != "chunks" and not size.piece:
        assert size.total_of_counts(6, 55, 30) == positions
    else:
        assert size.total_of_counts(6, 55, 30) is None


def test_short_documents_are_read_whole():
    size = EpochSize("lm", None, piece=100)
    assert size.total_of_counts(6, 55, 100) == 55 and size.total_of_counts(6, 55, None) is None
    assert size.left_out(SIZES) == "" and size.rule()
    assert EpochSize("lm_documents", 4).left_out(SIZES) == ""


def test_what_is_left_out_is_said():
    """A file of 480,000 bytes: eight pieces, of which an epoch reads one."""
    said = EpochSize("lm", 256, piece=65_536).left_out(np.array([480_000]))
    assert said == (
        "T5's lm reads one piece of at most 65,536 tokens of each document in an epoch: 60,000 of "
        "480,000 tokens (12.5%); objectives/lm_documents.gin reads all"
    )
    said = EpochSize("documents_random", 4).left_out(SIZES, np.full(6, 10))
    assert said.startswith("documents_random reads one window of at most 4 tokens of each document")
    assert "170 of 550 tokens (30.9%)" in said
    said = EpochSize("documents_random", 4, stitch=2).left_out(SIZES)
    assert "of each 2 documents in an epoch: 12 of 55 tokens" in said


def test_the_objective_is_that_of_gin(objective):
    objective("lm")
    assert epoch_size.of_objective(16) == EpochSize("lm", 16, 65_536)
    gin.parse_config("preprocessors.select_random_chunk.max_length = None")
    assert epoch_size.of_objective(16) == EpochSize("lm", 16, 15)
    gin.parse_config("PIECE = 7\npreprocessors.select_random_chunk.max_length = %PIECE")
    assert epoch_size.of_objective(16) == EpochSize("lm", 16, 7)
    for name in ("lm_documents", "chunks", "lm_stream"):
        objective(name)
        assert epoch_size.of_objective(16) == EpochSize(name, 16)
    objective("documents_random", "documents_random.stitch = 5")
    assert epoch_size.of_objective(16) == EpochSize("documents_random", 16, stitch=5)
    gin.parse_config("preprocessors.unsupervised.preprocessors = []")
    assert epoch_size.of_objective(16) == EpochSize("lm", 16)


@pytest.mark.parametrize("piece", [20, 65_536])
def test_t5s_lm_reads_as_many_tokens_as_predicted(objective, lines, piece):
    """Over 200 epochs of documents of up to 60 tokens."""
    objective("lm", f"preprocessors.select_random_chunk.max_length = {piece}")
    rows = helpers.rows(shuffle=True, seed=1, num_epochs=200)
    read = sum(np.count_nonzero(row[:-1]) if len(row) == 16 else len(row) - 1 for row in rows)
    predicted = int(np.sum(EpochSize("lm", 16, piece).positions(np.array(list(map(len, lines))))))
    assert read / 200 == pytest.approx(predicted, rel=0.02)
