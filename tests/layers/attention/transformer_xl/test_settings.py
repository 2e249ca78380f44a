"""Settings of Transformer-XL's positions that cannot work are one message; idle ones a remark."""

import numpy as np
import pytest

from primer.common import graph_marks
from primer.layers import MultiHeadAttention, SynthesizerAttention
from tests.layers import helpers, single_layer

XL = {"positions": "transformer_xl", "untie_relative_biases": True}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clamp_length": 0}, r"^MultiHeadAttention.clamp_length = 0: expected the longest"),
        ({"clamp_length_eval": -1}, r"^MultiHeadAttention.clamp_length_eval = -1: expected"),
        ({"untie_relative_biases": "no"}, r"untie_relative_biases = 'no': expected True or False"),
        (
            {"positions": "transformer_xl_learned"},
            r"num_distances = None: expected how many distances have a vector, a whole number of 1 "
            r"or more, which positions = 'transformer_xl_learned' needs; set the slot",
        ),
        ({"positions": "transformer_xl_absolute", "num_distances": 0}, r"num_distances = 0: exp"),
        ({"positions": "transformer_xl", "kind": "linear"}, r"positions = 'transformer_xl' and k"),
    ],
    ids=str,
)
def test_the_error_names_the_setting_and_its_value(settings, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(**settings)


@pytest.mark.parametrize("positions", ["transformer_xl", "transformer_xl_learned"])
def test_a_synthesizer_has_no_logits_of_distances(positions):
    with pytest.raises(ValueError, match=f"^SynthesizerAttention.positions = '{positions}': a Syn"):
        SynthesizerAttention(positions=positions, num_distances=3)
    SynthesizerAttention(positions="transformer_xl_sinusoid")


def call(layer, mode="eval", sees_later=False):
    with helpers.bench() as b:
        x = b.put(np.ones([1, 4, 32], np.float32), *single_layer.NAMES)
        context = single_layer.context_of(b, x, mode)
        context.model.fully_autoregressive = not sees_later
        layer.call(context, x)
        return graph_marks.remarks()


def test_shared_biases_need_the_scope_of_the_model():
    with pytest.raises(ValueError, match="^untie_relative_biases = False needs .* @TokenEmbedding"):
        call(MultiHeadAttention(num_heads=4, key_value_size=8, positions="transformer_xl"))


def test_learned_vectors_are_of_earlier_positions():
    layer = MultiHeadAttention(
        num_heads=4, key_value_size=8, positions="transformer_xl_learned", num_distances=3
    )
    with pytest.raises(ValueError, match="^positions = 'transformer_xl_learned': later positions"):
        call(layer, sees_later=True)


@pytest.mark.parametrize(
    ("settings", "remark"),
    [
        ({"clamp_length": 3}, "clamp_length = 3 has no effect: positions are not 'transformer_xl'"),
        ({**XL, "num_distances": 3}, "num_distances = 3 has no effect: positions are not "),
        ({"untie_relative_biases": True}, "untie_relative_biases = True has no effect"),
        ({**XL, "clamp_length": 2}, None),
    ],
    ids=str,
)
def test_idle_settings_are_said_in_training(settings, remark):
    layer = MultiHeadAttention(num_heads=4, key_value_size=8, **settings)
    remarks = call(layer, "train")
    assert (remarks[0].startswith(remark) and len(remarks) == 1) if remark else not remarks
    assert not call(layer)
