"""What all probes have in common: answers that repeat, ids, seeds, splits that share nothing."""

import dataclasses

import numpy as np
import pytest

from primer.data.probes import copying, mqar, probe
from primer.errors import UsageError
from tests.data.probes import helpers


@pytest.mark.parametrize("of", helpers.PROBES, ids=repr)
def test_every_answer_followed_the_same_tokens_before(of):
    """The token before an answer came earlier, and so did the answer, right behind it."""
    assert of.checked() is of
    for row in helpers.blocks(of, number=2):
        ids, answers = np.abs(row), np.flatnonzero(row > 0)
        assert len(answers) and ids.min() >= probe.MARK and ids.max() < of.vocabulary_size
        for place in answers:
            earlier = np.flatnonzero(ids[: place - 1] == ids[place - 1])
            if of.name == "copying":  # The first answer follows the mark.
                earlier = [place - of.length + of.tokens - 1]
                assert place == answers[0] or ids[earlier[0]] == ids[place - 1]
            assert ids[place] == ids[earlier[0] + 1]


@pytest.mark.parametrize("of", helpers.PROBES, ids=repr)
def test_the_number_of_answers_is_that_of_the_settings(of):
    expected = {"mqar": "pairs", "copying": "tokens", "induction": "queries"}[of.name]
    counts = (helpers.blocks(of) > 0).sum(1)
    assert set(counts) == {getattr(of, expected)}


@pytest.mark.parametrize("of", [helpers.PROBES[0], helpers.PROBES[3], helpers.PROBES[5]], ids=repr)
def test_examples_depend_on_seeds_split_and_number_alone(of):
    first = of.block(probe.TRAIN, 0, 5)
    np.testing.assert_array_equal(of.block(probe.TRAIN, 0, 5), first)
    others = [of.block(probe.TRAIN, 1, 5), of.block(probe.TRAIN, 0, 6)]
    others.append(dataclasses.replace(of, seed=1).block(probe.TRAIN, 0, 5))
    assert all((other != first).any() for other in others)
    held_out = of.block(probe.VALIDATION, 0, 0)
    np.testing.assert_array_equal(of.block(probe.VALIDATION, 7, 0), held_out)
    assert (dataclasses.replace(of, seed=1).block(probe.VALIDATION, 0, 0) != held_out).any()


@pytest.mark.parametrize("of", helpers.PROBES, ids=repr)
def test_no_example_is_in_both_splits(of):
    of = dataclasses.replace(of, validation_examples=256)
    if of.name == "copying":  # Few contents, so that each split has each of its own.
        of = dataclasses.replace(of, tokens=2, vocabulary_size=10)

    def contents(split):
        found = np.abs(helpers.blocks(of, split))
        return {row.tobytes() for row in (found[:, :2] if of.name == "copying" else found)}

    assert not contents(probe.TRAIN) & contents(probe.VALIDATION)


def test_the_last_block_of_validation_may_be_shorter():
    of = dataclasses.replace(helpers.PROBES[0], validation_examples=probe.BLOCK + 3)
    sizes = [len(of.block(probe.VALIDATION, 0, number)) for number in (0, 1)]
    assert sizes == [probe.BLOCK, 3]
    assert len(of.block(probe.TRAIN, 0, 1)) == probe.BLOCK


def test_choices_are_uniform_and_without_repetition():
    draws = np.random.default_rng(0).random((4000, 5))
    found = probe.chosen(draws, 3)
    assert all(len(set(row)) == 3 for row in found[:100])
    for column in found.T:
        np.testing.assert_allclose(np.bincount(column, minlength=5) / 4000, 0.2, atol=0.03)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocabulary_size": 5}, r"copying.vocabulary_size = 5: expected a whole number of 6"),
        ({"length": "8"}, r"copying.length = '8': expected a whole number of 2 or more"),
        ({"validation_examples": 0}, r"copying.validation_examples = 0"),
        ({"seed": -1}, r"copying.seed = -1"),
        ({"tokens": 9, "length": 18}, r"copying.tokens = 9: .* 19 tokens.*at most 8 tokens"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(UsageError, match=message):
        copying.Copying(**settings).checked()


def test_too_few_different_examples_are_refused():
    """Two texts of one symbol: both have the checksum of one split."""
    with pytest.raises(UsageError, match="vocabulary_size = 6: there are too few different exam"):
        copying.Copying(tokens=1, vocabulary_size=6).checked()


def test_recall_is_checked():
    with pytest.raises(UsageError, match=r"mqar.pairs = 17: .* 68 tokens, and mqar.length is 64"):
        mqar.MultiQueryRecall(pairs=17).checked()
    with pytest.raises(UsageError, match=r"mqar.pairs = 9: .* 8 keys.*; expected at most 8 pairs"):
        mqar.MultiQueryRecall(pairs=9, vocabulary_size=20).checked()
    with pytest.raises(UsageError, match=r"mqar.power"):
        mqar.MultiQueryRecall(power=0).checked()
