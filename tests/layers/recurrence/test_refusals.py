"""Combinations without a memory are refused when the model is made."""

import pytest

from tests import gin_models

MEMORY = "memory_length = 4"


@pytest.mark.parametrize(
    "architecture, bindings, message",
    [
        (
            "transformer",
            ["attention_kinds = ['linear']", "positions = 'none'"],
            r"no memory with kind = 'linear'",
        ),
        ("gpt2", [], r"no memory with positions = 'learned'"),
        ("transformer", ["positions = 'sinusoid'"], r"no memory with positions = 'sinusoid'"),
        ("llama", ["num_value_embeddings = 1"], r"no memory with num_value_embeddings = 1"),
        ("primer", ["spatial_gating = True"], r"no memory with spatial_gating = True"),
        ("transformer", ["token_shift = True"], r"token_shift sees earlier positions"),
        ("evolved_transformer", [], r"EvolvedConvolution sees earlier positions"),
        ("synthesizer", [], r"SynthesizerAttention sees earlier positions"),
        (
            "transformer",
            ["attention_kinds = ['local']", "window = 6"],
            r"memory_length = 4 is shorter than the window of a local layer, 6 keys.* to 5",
        ),
        (
            "transformer",
            ["attention_kinds = ['local']", "window = 5", "memory_length_eval = 3"],
            r"memory_length_eval = 3 is shorter",
        ),
    ],
)
def test_one_line_says_what_has_no_memory(architecture, bindings, message):
    with pytest.raises(ValueError, match=message):
        gin_models.build(gin_models.files(architecture), [MEMORY, *bindings])


@pytest.mark.parametrize(
    "bindings, message",
    [
        (["memory_length = 0"], r"memory_length = 0: expected positions of memory"),
        (["memory_length = 2.5"], r"memory_length = 2.5: expected"),
        ([MEMORY, "segment_length = -1"], r"segment_length = -1: expected"),
        ([MEMORY, "segment_length_eval = 0"], r"segment_length_eval = 0: expected"),
        ([MEMORY, "memory_length_eval = -1"], r"memory_length_eval = -1: expected.* or 0 for no"),
        ([MEMORY, "carry_memory = 1"], r"carry_memory = 1: expected"),
        (["same_length = True"], r"same_length = True needs memory"),
        (["carry_memory = True"], r"carry_memory = True needs memory"),
        (["segment_length = 8"], r"segment_length = 8 needs memory"),
    ],
)
def test_settings_without_a_meaning(bindings, message):
    with pytest.raises(ValueError, match=message):
        gin_models.build(gin_models.files("transformer"), bindings)
