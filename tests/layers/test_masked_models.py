"""Models that see both sides: what a position sees, with packed texts, and what is refused."""

import gin
import numpy as np
import pytest
from mesh_tensorflow.transformer import utils

from primer.evaluation.scorer import Scorer
from tests.evaluation import tiny

# Architecture -> bindings.
MODELS = {
    "transformer": [],
    "transformer, alibi": ["positions = 'alibi'"],
    "transformer_xl": [],
    "transformer, transformer_xl_sinusoid": ["positions = 'transformer_xl_sinusoid'"],
    "transformer, learned": ["positions = 'learned'"],
    "transformer, token shift": ["token_shift = True"],
    "qwen3": [],
    "primer": [],
    "primer_full": ["d_model_narrow = 12", "d_ff_12x = 24"],
    "evolved_transformer": ["num_evolved_blocks = 1", "d_ff = 32"],
    "synthesizer": [],
}


def scorer(name, extra):
    tiny.configure(name.split(",")[0], "squared_relu")
    gin.parse_config(extra)
    model = utils.build_model("aligned", 260, 260, mesh_shape="", layout_rules="")
    made = Scorer(model, tiny.LENGTH, 2, masked=True)
    tiny.randomize(made, 0.4)
    return made


def ids(seed):
    return np.random.default_rng(seed).integers(3, 259, [1, tiny.LENGTH])


@pytest.mark.parametrize("name", MODELS)
def test_every_position_sees_both_sides_of_its_own_text_alone(name):
    made, targets, inputs = scorer(name, MODELS[name]), ids(0), ids(1)
    border = 7
    segments = np.where(np.arange(tiny.LENGTH) < border, 1, 2)[None]

    def changes(place, own_segments):
        other = inputs.copy()
        other[0, place] = 259
        before, after = (made.nats(targets, own_segments, x)[0] for x in (inputs, other))
        return np.abs(before - after)

    one_text = np.ones_like(segments)
    for place in (0, border, tiny.LENGTH - 1):
        assert (changes(place, one_text) > 1e-6).all()
    first, last = changes(border - 1, segments), changes(border, segments)
    assert (first[:border] > 1e-6).all() and (last[border:] > 1e-6).all()
    np.testing.assert_array_equal(first[border:], 0)
    np.testing.assert_array_equal(last[:border], 0)


@pytest.mark.parametrize("name", MODELS)
def test_padding_is_not_seen(name):
    made, targets, inputs = scorer(name, MODELS[name]), ids(0), ids(1)
    length = 9
    segments = (np.arange(tiny.LENGTH) < length)[None].astype(int)
    other = inputs.copy()
    other[0, length:] = 50
    first, second = (made.nats(targets, segments, x)[0] for x in (inputs, other))
    np.testing.assert_array_equal(first[:length], second[:length])


@pytest.mark.parametrize("kind", ["local", "linear"])
def test_kinds_that_see_the_past_alone_are_refused(kind):
    with pytest.raises(ValueError, match=f"kind = '{kind}' sees only earlier .*masked language"):
        scorer("transformer", ["positions = 'rotary'", f"attention_kinds = ['{kind}']"])
