"""Multi-query recall against its definition, and the statistics of its gaps."""

import numpy as np
import pytest

from primer.data.probes import mqar, probe
from tests.data.probes import helpers


def test_an_example_has_the_form_of_the_paper():
    of = mqar.MultiQueryRecall(length=32, vocabulary_size=30, pairs=5)
    for row in helpers.blocks(of, number=2):
        ids, answers = np.abs(row), np.flatnonzero(row > 0)
        keys, values = ids[0:10:2], ids[1:10:2]
        assert len(set(keys)) == len(set(values)) == 5
        assert keys.max() < 4 + 13 <= values.min()  # Half of the 26 symbols.
        queries = answers - 1
        assert (queries >= 10).all() and not (queries % 2).any()
        assert sorted(ids[queries]) == sorted(keys)  # Each key once.
        value_of = dict(zip(keys, values))
        assert [value_of[key] for key in ids[queries]] == ids[answers].tolist()
        fillers = np.delete(ids, [*range(10), *queries, *answers])
        assert not set(fillers) & set(keys)


def test_fillers_are_all_other_symbols_alike_or_blanks():
    of = mqar.MultiQueryRecall(length=32, vocabulary_size=14, pairs=2)
    fillers = np.concatenate(
        [np.abs(row)[4:][row[4:] < 0] for row in helpers.blocks(of, number=40)]
    )
    counts = np.bincount(fillers, minlength=14)[probe.FIRST_SYMBOL :] / len(fillers)
    # A query is one negative id of 26; a key is no filler where it is one of the example's.
    assert counts.min() > 0.07 and counts[5:].std() < 0.004
    blanks = mqar.MultiQueryRecall(length=32, pairs=2, random_fillers=False)
    row = blanks.block(probe.TRAIN, 0, 0)[0]
    assert (np.abs(row) == probe.BLANK).sum() == 32 - 4 * 2


@pytest.mark.parametrize("power", [0.01, 0.5, 1.0])
def test_gaps_follow_the_power_law(power):
    """With one pair the distance is one draw: place g, from 1, has g^(power - 1) of the weight."""
    of = mqar.MultiQueryRecall(length=18, pairs=1, power=power)
    rows = helpers.blocks(of, number=80)
    places = ((rows > 0).argmax(1) - 3) // 2
    expected = np.arange(1, 9) ** (power - 1.0)
    np.testing.assert_allclose(
        np.bincount(places, minlength=8) / len(rows), expected / expected.sum(), atol=0.02
    )


def test_gaps_of_several_queries_are_numpys_draws_without_repetition():
    of = mqar.MultiQueryRecall(length=24, pairs=3, power=0.01)
    rows = helpers.blocks(of, number=60)
    found = np.bincount(np.nonzero(rows > 0)[1], minlength=24)[7::2] / len(rows)
    generator, chances = np.random.default_rng(0), probe.power_law(9, 0.01)
    drawn = [generator.choice(9, 3, replace=False, p=chances) for _ in range(6_000)]
    expected = np.bincount(np.concatenate(drawn), minlength=9) / len(drawn)
    np.testing.assert_allclose(found, expected, atol=0.025)


def test_the_first_gap_is_that_of_any_key():
    """Neither the order of the pairs nor the ids tell where a query comes."""
    of = mqar.MultiQueryRecall(length=32, vocabulary_size=30, pairs=4)
    rows = helpers.blocks(of, number=40)
    ids, first = np.abs(rows), (rows > 0).argmax(1) - 1
    query = ids[np.arange(len(ids)), first]
    order = (ids[:, 0:8:2] == query[:, None]).argmax(1)
    np.testing.assert_allclose(np.bincount(order, minlength=4) / len(ids), 0.25, atol=0.03)
