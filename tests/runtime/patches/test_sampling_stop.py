"""Every sampled row ends at its own end token."""

import numpy as np
import pytest

from primer.runtime.patches import sampling_stop
from tests.layers import helpers, stepwise


def cut(ids, stop=1, prompts=None):
    with helpers.bench() as b:
        given = None if prompts is None else b.put(np.array(prompts, np.int32), "batch", "length")
        tensor = b.put(np.array(ids, np.int32), "batch", "length")
        return b.run({"ids": sampling_stop.cut(tensor, stop, given)})["ids"].tolist()


def test_what_follows_an_end_token_is_padding():
    assert cut([[5, 1, 7, 1], [1, 6, 7, 8], [5, 6, 7, 8]]) == [
        [5, 1, 0, 0],
        [1, 0, 0, 0],
        [5, 6, 7, 8],
    ]


def test_end_tokens_in_the_prompt_do_not_count():
    ids, prompts = [[5, 1, 7, 1, 9], [5, 1, 1, 8, 9]], [[5, 1, 0, 0, 0], [5, 1, 0, 0, 0]]
    assert cut(ids, prompts=prompts) == [[5, 1, 7, 1, 0], [5, 1, 1, 0, 0]]


@pytest.fixture(scope="module")
def model():
    return helpers.golden_model("primer_ez")


def test_sampled_rows_end_at_their_end_token(model):
    """The end token is the first token of a run that never ends."""
    prompts = np.array([[5, 6, 0, 0, 0, 0], [7, 0, 0, 0, 0, 0]])
    free = stepwise.sample(*model, prompts, never_end=True)
    stop = int(free[0, 2])
    ids = stepwise.sample(*model, prompts, stop_at_token=stop)
    assert ids[0].tolist() == [5, 6, stop, 0, 0, 0]
    ends = np.flatnonzero(free[1, 1:] == stop)
    if len(ends):
        assert not ids[1, 2 + ends[0] :].any()


def test_without_an_end_token_prompts_are_continued_to_the_full_length(model):
    """Without the patch Mesh-TF raises here."""
    prompts = np.array([[5, 6, 0, 0, 0, 0], [7, 0, 0, 0, 0, 0]])
    ids = stepwise.sample(*model, prompts, stop_at_token=None)
    assert ids.all() and ids[0, :2].tolist() == [5, 6]


def test_gin_may_set_the_end_token(model):
    import gin

    prompts = np.array([[5, 6, 0, 0, 0, 0]])
    stop = int(stepwise.sample(*model, prompts, never_end=True)[0, 2])
    gin.parse_config(f"Unitransformer.sample_autoregressive.stop_at_token = {stop}")
    assert stepwise.sample(*model, prompts)[0].tolist() == [5, 6, stop, 0, 0, 0]
