"""Rolling windows against those of lm-evaluation-harness."""

import os

os.environ["HF_DATASETS_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from primer.evaluation.windows import rolling  # noqa: E402


@pytest.mark.parametrize("number", [1, 2, 5, 6, 7, 11, 12, 30])
def test_rolling_windows_are_those_of_the_harness(number):
    """With the first token in place of the harness's prefix: windows have a start of their own."""
    utils = pytest.importorskip("lm_eval.utils", reason="needs the extra lm-eval")
    ids, length = list(range(100, 100 + number)), 6
    windows = list(rolling.rolling(0, number, length))
    ours = [(ids[start:counted], ids[counted:end]) for start, counted, end in windows]
    theirs = map(
        utils.make_disjoint_window,
        utils.get_rolling_token_windows(ids[1:], ids[0], length - 1, context_len=1),
    )
    _, *expected = [(context, list(counted)) for context, counted in theirs] or [None]
    assert ours == [([], ids[:length]), *expected]


@pytest.mark.parametrize("seed", range(5))
def test_the_windows_of_pairs_count_each_continuation_once(seed):
    generator = np.random.default_rng(seed)
    pairs = [([1] * generator.integers(0, 9), [2] * generator.integers(0, 15)) for _ in range(12)]
    ids, windows = rolling.cut_pairs(pairs, 6)
    assert ids.tolist() == [i for context, rest in pairs for i in context + rest]
    tokens, places = windows.counted_tokens(0, windows.num_rows)
    np.testing.assert_array_equal(np.sort(tokens), np.flatnonzero(ids == 2))
    targets, _ = windows.fill_rows(ids, 0, windows.num_rows)
    assert (targets.reshape(-1)[places] == 2).all()
