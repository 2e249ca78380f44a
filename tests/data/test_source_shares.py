"""The shares of sources in the first rows: of files, of lines, of the tasks of a mixture."""

import collections

import gin
import numpy as np
import pytest

from primer.data import source_labels, source_shares
from primer.errors import RunError

SHARES = {"bible": 0.54, "faq": 0.20, "manual": 0.15, "tales": 0.11}
SIZE = 200_000
LENGTH = 32


@pytest.fixture
def four_files(tmp_path, objective):
    """Four texts end to end in name order; their lines have 60 bytes."""
    objective("lm_documents", 'task_vocabulary.name = "bytes"', "text_files.held_out = 0.0")
    for name, share in SHARES.items():
        line = name.ljust(59, name[0]) + "\n"
        (tmp_path / f"{name}.txt").write_text(line * int(SIZE * share / len(line)))
    (tmp_path / "lines.txt").unlink()  # Of the fixture `objective`.
    gin.bind_parameter("text_files.glob", f"{tmp_path}/*.txt")
    return tmp_path


@pytest.mark.parametrize("unit", ["file", "line"])
@pytest.mark.parametrize("seed", [1, 2])
def test_sources_have_their_share_in_the_first_50_batches(four_files, unit, seed):
    gin.bind_parameter("text_files.unit", unit)
    shares = source_shares.source_shares("text", "train", LENGTH, 50 * 8, seed)
    assert [share.name for share in shares] == [str(four_files / f"{n}.txt") for n in SHARES]
    for share, expected in zip(shares, SHARES.values(), strict=True):
        assert share.expected == pytest.approx(expected, abs=0.002)
        assert share.error == pytest.approx(np.sqrt(expected * (1 - expected) / 400), rel=0.01)
        assert 0 < share.errors_off() < 4


def test_the_buffer_of_t5s_lm_leaves_sources_unmixed(four_files, objective):
    """Each file gives a piece of equal size, whatever share it has."""
    objective("lm", "preprocessors.select_random_chunk.max_length = 4096", "text_files.unit='file'")
    shares = source_shares.source_shares("text", "train", LENGTH, 400, 1)
    assert max(share.errors_off() for share in shares) > 4


@pytest.fixture
def two_tasks(four_files):
    from primer.data import mixture  # noqa: F401

    gin.bind_parameter("mixture.tasks", [("sotu", 1.0), ("text", 3.0)])
    return "mixture"


def test_the_tasks_of_a_mixture_have_their_rates(two_tasks):
    shares = source_shares.source_shares(two_tasks, "train", LENGTH, 400, 1)
    assert {share.name: share.expected for share in shares} == {"sotu": 0.25, "text": 0.75}
    assert all(share.errors_off() < 4 for share in shares)


def test_a_task_that_streams_is_one_source(tfds_dir, objective):
    objective("lm")
    name = "lm1b_autoregressive_language_modeling"
    (share,) = source_shares.source_shares(name, "train", LENGTH, 10, 1)
    assert (share.name, share.expected, share.drawn, share.errors_off()) == (name, 1, 1, 0)


def test_labels_count_the_tokens_of_each_source(four_files):
    import seqio

    task, labels = seqio.TaskRegistry.get("text"), source_labels.SourceLabels(False, 259)
    with source_labels.labelling(labels):
        rows = task.get_dataset({"targets": LENGTH}, "train", seed=1, num_epochs=1)
        found = collections.Counter()
        for row in rows.as_numpy_iterator():
            found.update(labels.count(row["targets"]))
    sizes = {path: len(path.read_text()) + 1 for path in four_files.glob("*.txt")}
    gin.bind_parameter("text_files.unit", "file")
    lines = {str(path): size - 1 for path, size in sizes.items()}  # A line's end becomes its end.
    assert dict(found) == labels.tokens == lines


def test_files_that_change_meanwhile_are_named(four_files, monkeypatch):
    import seqio

    source = seqio.TaskRegistry.get("text").source
    monkeypatch.setattr(source, "_document_files_fn", lambda split: ["a.txt"])
    with pytest.raises(RunError, match="the files of text have 1 documents, and .* were read"):
        source_shares.source_shares("text", "train", LENGTH, 10, 1)
