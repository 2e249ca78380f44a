"""Which tokens are masked, against the binomial distribution; settings and special ids."""

import gin
import numpy as np
import pytest
import seqio

from primer.data.objectives.token_masking import Masking, MaskSettings, of_task
from primer.errors import UsageError

ROWS, LENGTH = 400, 500
VOCABULARY = seqio.ByteVocabulary(extra_ids=5)  # 3 special ids, 256 bytes, 5 extra ids.
ORDINARY = np.arange(3, 259)
MASK = VOCABULARY.vocab_size - 1


def masking(vocabulary=VOCABULARY, **settings):
    return Masking(MaskSettings(**settings), vocabulary, "some_task")


def rows_of(own, ids, seed=0):
    """(inputs, targets) of ROWS rows of the same ids, [rows, length] each."""
    found = [own.mask(ids, seed, row) for row in range(ROWS)]
    return tuple(np.stack(part) for part in zip(*found, strict=True))


def assert_share(count, total, share):
    """Within five standard deviations of the binomial distribution."""
    assert abs(count - share * total) < 5 * np.sqrt(total * share * (1 - share)) + 1e-9


@pytest.mark.parametrize(
    "rates", [(0.15, 0.1, 0.1), (0.4, 0.0, 0.3), (0.05, 0.5, 0.5), (0.15, 0.0, 0.0)]
)
def test_rates(rates):
    mask_rate, keep_rate, random_rate = rates
    ids = np.random.default_rng(0).choice(ORDINARY, LENGTH)
    own = masking(mask_rate=mask_rate, keep_rate=keep_rate, random_rate=random_rate)
    inputs, targets = rows_of(own, ids)
    chosen = targets != 0
    number = chosen.sum()
    assert_share(number, chosen.size, mask_rate)
    # Each place of a row is as likely as any other.
    assert np.abs(chosen.mean(0) - mask_rate).max() < 5 * np.sqrt(mask_rate / ROWS)
    np.testing.assert_array_equal(targets[chosen], np.broadcast_to(ids, chosen.shape)[chosen])
    np.testing.assert_array_equal(inputs[~chosen], np.broadcast_to(ids, chosen.shape)[~chosen])
    same = (inputs == targets) & chosen
    masked = (inputs == MASK) & chosen
    other = chosen & ~same & ~masked
    # One random token in 256 is the token itself.
    assert_share(masked.sum(), number, 1 - keep_rate - random_rate)
    assert_share(other.sum(), number, random_rate * 255 / 256)
    assert_share(same.sum(), number, keep_rate + random_rate / 256)


def test_random_tokens_are_all_ordinary_ones_alike():
    own = masking(mask_rate=0.9, keep_rate=0.0, random_rate=0.99, never_masked=[70, 71])
    inputs, targets = rows_of(own, np.full(LENGTH, 200))
    drawn = inputs[(targets != 0) & (inputs != MASK)]
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(values, np.setdiff1d(ORDINARY, [70, 71]))
    expected = len(drawn) / len(values)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_special_tokens_are_never_masked():
    ids = np.arange(VOCABULARY.vocab_size)
    _, targets = rows_of(masking(mask_rate=0.5, never_masked=(100, 200)), ids)
    np.testing.assert_array_equal(np.unique(targets)[1:], np.setdiff1d(ORDINARY, [100, 200]))


def test_draws_depend_on_the_seed_the_row_and_the_place_alone():
    own, ids = masking(), np.random.default_rng(1).choice(ORDINARY, LENGTH)
    inputs, targets = own.mask(ids, 3, 7)
    assert inputs.dtype == targets.dtype == np.int32
    np.testing.assert_array_equal(masking().mask(ids, 3, 7)[0], inputs)
    # A shorter row, and other tokens, have the same places.
    np.testing.assert_array_equal(own.mask(ids[:90], 3, 7)[1], targets[:90])
    np.testing.assert_array_equal(own.mask(ids[::-1], 3, 7)[1] != 0, targets != 0)
    for seed, row in [(4, 7), (3, 8), (3, 7 + (1 << 32)), (7, 3)]:
        assert (own.mask(ids, seed, row)[1] != targets).mean() > 0.1


def test_the_numbers_of_a_row_are_as_recorded():
    """A change would give a resumed run other masks than the run before."""
    _, targets = masking().mask(np.full(40, 50), 0, 0)
    assert np.flatnonzero(targets).tolist() == [5, 17, 19, 21, 23, 33, 36, 39]


def test_the_mask_is_the_last_extra_id_or_the_setting():
    assert masking().mask_id == 263
    assert masking(mask_id=2).mask_id == 2
    assert masking(seqio.ByteVocabulary(), mask_id=2).mask_id == 2


@pytest.mark.parametrize(
    "settings, message",
    [
        ({}, r"task some_task \(259 ids\) has no id for the mask; set task_vocabulary.extra_ids"),
        ({"mask_id": 0}, "masked_lm.mask_id = 0: expected"),
        ({"mask_id": 1}, "masked_lm.mask_id = 1: expected an id from 1 to 258"),
        ({"mask_id": 259}, "masked_lm.mask_id = 259: expected an id from 1 to 258"),
        ({"mask_id": 2.0}, "masked_lm.mask_id = 2.0"),
        ({"mask_rate": 0}, "masked_lm.mask_rate = 0: expected a number above 0"),
        ({"mask_rate": 1.5}, "masked_lm.mask_rate = 1.5"),
        ({"keep_rate": -0.1}, "masked_lm.keep_rate = -0.1"),
        ({"random_rate": True}, "masked_lm.random_rate = True"),
        ({"keep_rate": 0.6, "random_rate": 0.5}, "add up to more than 1"),
        ({"evaluation_seed": -1}, "masked_lm.evaluation_seed = -1"),
        ({"mask_id": 2, "never_masked": 5}, "masked_lm.never_masked = 5: expected ids"),
        ({"mask_id": 2, "never_masked": ["a"]}, "masked_lm.never_masked = 'a'"),
        ({"mask_id": 2, "never_masked": range(259)}, "masked_lm.never_masked leaves no token"),
    ],
)
def test_errors(settings, message):
    with pytest.raises(UsageError, match=message):
        masking(seqio.ByteVocabulary(), **settings)


@pytest.mark.parametrize("name", ["bytes", "characters", "sotu"])
def test_every_kind_of_vocabulary_has_a_mask_with_an_extra_id(name):
    import primer.data.tasks  # noqa: F401

    gin.parse_config([f"task_vocabulary.name = '{name}'", "task_vocabulary.extra_ids = 1"])
    task = seqio.get_mixture_or_task("sotu")
    size = task.output_features["targets"].vocabulary.vocab_size
    assert of_task(task).mask_id == size - 1
    gin.parse_config("task_vocabulary.extra_ids = 0")
    with pytest.raises(UsageError, match="has no id for the mask"):
        of_task(task)
