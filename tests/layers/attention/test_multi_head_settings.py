"""A setting that cannot work is one message with its name and value, before any graph is built."""

import types

import numpy as np
import pytest

from primer.common import graph_marks
from primer.layers import (
    MDHA,
    DoubleHeadsAttention,
    MultiHeadAttention,
    SynthesizerAttention,
    WindowedSelfAttention,
)
from tests.layers import helpers, single_layer

CLASSES = [MDHA, DoubleHeadsAttention, MultiHeadAttention, WindowedSelfAttention]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__qualname__)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "sparse"}, r"kind = 'sparse': expected one of global, local, linear"),
        ({"biases": True}, r"biases = True: expected one of none, qkv, output, all"),
        ({"logit_cap": 0}, r"logit_cap = 0: expected a number above 0"),
        ({"logit_cap": -1.0}, r"logit_cap = -1.0: expected"),
        ({"qk_norm": "layer"}, r"qk_norm = 'layer'"),
        ({"scale": "root"}, r"scale = 'root'"),
        ({"num_persistent_vectors": -1}, r"num_persistent_vectors = -1: expected a whole"),
        ({"num_value_embeddings": 0.5}, r"num_value_embeddings = 0.5: expected a whole"),
        ({"positions": "rotary", "rotary_fraction": 0.2}, r"rotary_fraction = 0.2"),
        ({"positions": "rotary", "rotary_base": 0}, r"rotary_base = 0"),
        ({"shared_kv": True, "qk_norm": "rms"}, r"shared_kv = True and qk_norm = 'rms'"),
        ({"shared_kv": True, "positions": "rotary"}, r"and positions = 'rotary'"),
        ({"num_memory_heads": -2}, r"num_memory_heads = -2: expected a whole number of 0"),
        ({"num_memory_heads": 3}, r"num_memory_heads = 3 must divide"),
        ({"attention_func": "hybrid", "num_persistent_vectors": 2}, r"attention_func = 'hybrid'"),
        ({"attention_func": "hybrid", "z_loss_coeff": 0.1}, r"attention_func = 'hybrid'"),
        ({"extra_logit": True}, r"extra_logit = True: expected a number, such as GShard's 0.0"),
        ({"extra_logit": float("inf")}, r"extra_logit = inf: expected a number"),
        (
            {"extra_logit": 0.0, "attention_kwargs": {"extra_logit": 1.0}},
            r"extra_logit = 0.0 and attention_kwargs has extra_logit = 1.0",
        ),
        (
            {"extra_logit": 0.0, "kind": "linear"},
            r"extra_logit = 0.0 and kind = 'linear': linear attention has no logits",
        ),
        (
            {"relative_attention_type": "bias", "relative_max_distance": 16},
            r"relative_max_distance = 16: expected a whole number above the 16 distances",
        ),
        (
            {"relative_attention_type": "bias", "relative_attention_num_buckets": 1},
            r"relative_attention_num_buckets = 1: expected",
        ),
        ({"causal_by_position": 1}, r"causal_by_position = 1: expected True or False"),
        (
            {"causal_by_position": True, "kind": "local"},
            r"causal_by_position = True: kind = 'local'",
        ),
    ],
    ids=str,
)
def test_the_error_names_the_setting_and_its_value(cls, settings, message):
    with pytest.raises(ValueError, match=message):
        cls(num_heads=4, key_value_size=8, **settings)


def test_a_window_is_a_number_of_keys():
    with pytest.raises(ValueError, match=r"MultiHeadAttention.window = 0: expected how many keys"):
        MultiHeadAttention(kind="local", window=0)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__qualname__)
@pytest.mark.parametrize("number", [0, 2.5])
def test_a_block_has_a_number_of_positions(cls, number):
    message = f"{cls.__qualname__}.block_length = {number}: expected positions per block"
    with pytest.raises(ValueError, match=message):
        cls(kind="local", block_length=number)


def test_half_heads_need_an_even_number_of_rotating_channels():
    """d_kv 6 rotates whole, its half does not."""
    MultiHeadAttention(key_value_size=6, positions="rotary")
    with pytest.raises(ValueError, match="rotary_fraction"):
        DoubleHeadsAttention(key_value_size=6, positions="rotary")


@pytest.mark.parametrize(
    ("mode", "settings"),
    [
        ("random_plus", {"kind": "local"}),
        ("random_plus", {"logit_cap": 5.0}),
        ("random_plus", {"num_persistent_vectors": 2}),
        ("random", {"qk_norm": "rms"}),
        ("dense", {"positions": "rotary"}),
        ("factorized", {"num_value_embeddings": 1}),
    ],
)
def test_a_synthesizer_refuses_what_its_learned_logits_cannot_have(mode, settings):
    ((name, value),) = settings.items()
    with pytest.raises(ValueError, match=f"SynthesizerAttention.{name} = {value!r}"):
        SynthesizerAttention(synthesize_mode=mode, **settings)


@pytest.mark.parametrize(
    ("settings", "remark"),
    [
        ({"rotary_base": 5.0}, "rotary_base = 5.0 has no effect: positions are not rotary"),
        ({"window": 9}, "window = 9 has no effect: no layer is local"),
    ],
)
def test_settings_of_another_kind_are_said_in_training(settings, remark):
    layer = MultiHeadAttention(num_heads=4, key_value_size=8, **settings)
    x = np.ones([1, 4, 32], np.float32)
    for mode in ("train", "eval"):
        with helpers.bench() as b:
            x_in = b.put(x, *single_layer.NAMES)
            context = single_layer.context_of(b, x_in, mode)
            context.model.layer_stack = types.SimpleNamespace(layers=[layer])
            layer.call(context, x_in)
            found = graph_marks.remarks()
        assert bool(found) == (mode == "train")
        assert mode == "eval" or found[0].startswith(remark)
