"""If a defect of docs/defects.md is put back, the test of its row fails."""

import dataclasses
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest

from tests import gin_models
from tests.docs import defects, put_back
from tests.layers import helpers

ROWS = {row.original: row for row in defects.rows() if row.changes_results}


@dataclasses.dataclass(frozen=True)
class Defect:
    """Describes how to put a defect back and how to call the test of its row.

    Attributes:
        put_back: returns the context manager. If it has a parameter `test_module`, it receives
            the module of the test.
        arguments: arguments of the test, or a function of its module that returns them. The other
            parameters of the test are fixtures.
    """

    put_back: Callable[..., AbstractContextManager]
    arguments: dict | Callable = dataclasses.field(default_factory=dict)


def gin(path, old, new):
    """Returns a function that puts a defect of a gin file back."""
    return lambda: put_back.changed_gin_file(path, old, new)


# The first cell of a row -> its defect.
DEFECTS = {
    "Hugging Face's port begins with a memory of zeros, which is seen": Defect(
        put_back.memory_of_zeros_is_seen
    ),
    "Its Primer never uses the pre- and post-norm stack of its paper": Defect(
        put_back.norm_before_every_layer, {"architecture": "primer"}
    ),
    "Decoding convolves over the batch and keeps no state of the convolution": Defect(
        put_back.decoding_convolves_over_the_batch,
        {"name": "primer_ez", "prompt_lengths": [0, 0, 0, 0]},
    ),
    "Keys of the shared projection start smaller by 1 / sqrt(d_kv)": Defect(
        put_back.keys_stay_small, {"fold": True, "rescale": True}
    ),
    "In packed examples the convolution reads the end of the previous text": Defect(
        put_back.convolution_crosses_texts, {"name": "primer_ez"}
    ),
    "primer_norm is NaN where its pseudo-variance is negative": Defect(put_back.pseudo_variance),
    "combine_dims = False convolves over the heads": Defect(
        put_back.convolution_over_the_heads, {"share": False}
    ),
    "shared_kv = True does not convolve the keys and values": Defect(
        put_back.shared_keys_and_values_unconvolved
    ),
    "z_loss_coeff has no effect": Defect(put_back.z_loss_dropped, {"packed": True}),
    "Hyper-prompts are accepted and ignored": Defect(
        put_back.hyperprompts_ignored,
        {"settings": {"use_hyperprompt": True}, "message": "hyper-prompts"},
    ),
    "A binding of the convolution's kernel_size has no effect": Defect(
        put_back.kernel_size_ignored
    ),
    "The pre- and post-norm stack goes by the index of each layer": Defect(put_back.order_by_index),
    "Capacity 1.2 is bound under deccoder/: runs had 1.25 and 2.0": Defect(
        gin("defaults.gin", "MixtureOfExperts.capacity", "deccoder/MixtureOfExperts.capacity"),
        {"model": "switch_transformer"},
    ),
    "Synthesizer has 8 heads of 128 at every size": Defect(
        gin(
            "architectures/transformer.gin",
            "synthesizer_num_heads = %num_heads\nsynthesizer_d_kv = %d_kv\n",
            "",
        )
    ),
    "LM1B has length 512 by default": Defect(
        gin("datasets/lm1b.gin", '"targets": 64', '"targets": 512'), {"task": "lm1b"}
    ),
    "Sizes take effect only if their file comes last": Defect(
        gin("architectures/primer.gin", "layer_stack =", "d_model = 512\nlayer_stack ="),
        {"composition": ("primer", None)},
    ),
    "Experts have no biases, although the dense layers have": Defect(
        lambda: put_back.experts(use_bias=False), {"gating": "top_2"}
    ),
    "Without an additional file the learning rate falls to zero": Defect(
        gin(
            "datasets/c4.gin",
            "learning_rate_schedule_noam.linear_decay_fraction = 0.0",
            "learning_rate_schedule_noam.linear_decay_fraction = 0.1",
        ),
        {"task": "c4"},
    ),
    "local_attention_1d ignores the relative bias in its blocks": Defect(
        put_back.no_bias_in_blocks, lambda module: {"parts": np.ones_like(module.PARTS)}
    ),
    "MoE1D fails on unpacked examples, and padding takes the places of tokens": Defect(
        put_back.padding_is_text, {"gating": "top_2"}
    ),
    'second_policy_eval is "random" by default: two evaluations differ': Defect(
        lambda: put_back.experts(second_policy_eval="random"),
        lambda module: {"layer": module.MixtureOfExperts},
    ),
    "The Evolved Transformer's convolutions compute another function in decoding": Defect(
        put_back.start_of_text_is_read_in_decoding, {"prompt_lengths": [4, 7, 12]}
    ),
    "GShardGate multiplies its loss by the square of one worker's experts: on W workers it is W^2 "
    "times too small": Defect(lambda: put_back.experts(fastmoe_workers=2)),
    "GShardGate counts column 0 of an unsorted top-k as the first choice: mostly not the best "
    "expert where a token has more than two": Defect(put_back.first_choice_is_column_0),
    "SwitchGate adds its noise, 0.9 to 1.1, to the logits": Defect(
        put_back.noise_is_not_on_the_input, {"policy": "input_jitter"}
    ),
    "SwitchGate divides the sums of its loss by the tokens that it kept": Defect(
        lambda: put_back.experts(fastmoe_workers=2)
    ),
    "NoisyGate divides the variance over experts by their number - 1": Defect(
        put_back.variance_of_a_sample, {"load": [1.0, 2.0, 3.0, 6.0]}
    ),
    "Sampling continues rows after their end token": Defect(
        lambda: put_back.unpatched("sample_autoregressive"),
        lambda module: {"model": helpers.golden_model("primer_ez")},
    ),
    "With several learning-rate patterns, the last one applies to all variables": Defect(
        put_back.last_pattern_applies, {"name": "AdamWithMultiLRSchedule"}
    ),
    "In packed rows, positions beyond max_length have a vector of zeros": Defect(
        put_back.zeros_beyond_the_last_position,
        {"positions": "learned", "sequence_id": "nonpadding"},
    ),
    "An untied output is one matrix for all members of an ensemble": Defect(
        put_back.one_output_for_an_ensemble
    ),
    "With a length_projection_factor below 1 its clusters lose the words for which a row has no "
    "place": Defect(put_back.clusters_of_half_a_row),
    "The layer norm subtracts means in bfloat16: outputs are off by 3% where the mean is 20 times "
    "the spread": Defect(put_back.stock_layer_norm, {"mean": 2, "spread": 0.1}),
    "RMS norm and scale norm square, average and divide in bfloat16": Defect(
        put_back.stock_rms_norm, {"name": "sublayer_rms_norm", "spread": 1}
    ),
    "The models of an ensemble share the scale and the bias of a layer norm": Defect(
        put_back.stock_layer_norm
    ),
    "The loss has the type of the activations: bfloat16 losses move in steps of 0.03": Defect(
        lambda: put_back.unpatched("_compute_loss")
    ),
    "Initial values and noise have no seed: no run can be repeated": Defect(
        put_back.unseeded_draws
    ),
    "Training from another checkpoint goes on at its step, with its optimizer's slots": Defect(
        lambda: put_back.unpatched_module("checkpoints.initial_checkpoint")
    ),
    "Learning rates fall below zero behind the last step": Defect(
        put_back.falling_rates,
        lambda module: {
            "schedule": lambda step: module.schedules.linear_decay(step, 10, 1.0),
            "rate_at_20": 0.0,
            "rate_at_5": 0.5,
        },
    ),
    "The cap of the logits does not apply with one head of keys": Defect(
        put_back.no_cap_with_one_head_of_keys
    ),
    "Primer's norm divides x, not x less its mean": Defect(
        put_back.norm_keeps_the_mean, {"binding": "norm = @sublayer_primer_norm"}
    ),
    "The convolutions of Primer see the text before their own": Defect(
        put_back.convolution_crosses_texts, {"binding": "convolution_crosses_texts = False"}
    ),
    "The gates of a token are divided by their sum before some of its choices are dropped: what is "
    "left has a smaller weight": Defect(put_back.legacy_gshard),
    "Padding lowers the balance loss": Defect(put_back.legacy_gshard),
    "A batch of training has as many groups as there are devices: the mesh decides which tokens "
    "are dropped": Defect(put_back.groups_of_devices, {"mesh": "batch"}),
    "An odd number of layers loses the last one": Defect(
        gin("architectures/gshard_experts.gin", "num_blocks = @half_depth()", "num_blocks = 1")
    ),
    "Attention of type none adds the layer's input to itself": Defect(
        put_back.attention_none_doubles, {"place": 1}
    ),
    "Attention of type linear takes exp of keys of any size and adds 1e-6 to the denominator: "
    "large keys give NaN, small ones nothing": Defect(
        put_back.unscaled_linear_attention, {"shift": -200.0, "chunk_length": None}
    ),
    "With no_weight_tie the output reads the last layer without the final norm": Defect(
        gin(
            "defaults.gin",
            "LayerStack.sublayers_final = [%norm, ",
            "LayerStack.sublayers_final = [",
        )
    ),
    "scale_by_depth divides the last matrix of feed-forward layers and leaves out that of "
    "attention": Defect(put_back.attention_keeps_its_scale),
    "moe_layers has the numbers 2 to 12, and layers are counted from 0: the last one of six has no "
    "experts": Defect(
        gin("architectures/switch.gin", "%attention, %experts,", "%attention, %feed_forward,"),
        {"architecture": "switch"},
    ),
    "The perplexity is the mean of those of the batches": Defect(put_back.mean_of_perplexities),
    "The z-loss is part of the reported perplexity": Defect(
        put_back.z_loss_is_scored, {"architecture": "transformer", "activation": "relu"}
    ),
    "Bits per byte are the loss times 0.29335 tokens per byte, whatever the text": Defect(
        put_back.tokens_per_byte_are_constant
    ),
    "t2t-avg-all adds to a float32 sum and subtracts from it: its means drift": Defect(
        put_back.float32_sum_of_checkpoints
    ),
    "Its Adafactor ignores the schedule of the learning rate": Defect(
        put_back.adafactor_without_schedule, {"name": "adafactor"}
    ),
    "The last norm decays: names with norm are left out, and it is called ln_f": Defect(
        put_back.names_alone_decide_on_decay
    ),
    "adam is lazy: neither weights nor moments of tokens that are not in the batch change": Defect(
        put_back.lazy_adam
    ),
    "The factor cosdecay jumps where the warmup ends": Defect(put_back.cosine_from_the_start),
    "A restored input position continues the saved pipeline, whatever the settings name": Defect(
        put_back.any_position_is_restored, {"changes": {"seed": 1}, "expected": "seed 0 -> 1"}
    ),
    "A saved pipeline calls Python functions by a count of the process, in which they may be "
    "others": Defect(put_back.functions_counted_in_the_process),
}


def test_every_row_that_changes_results_has_its_defect():
    assert set(DEFECTS) == set(ROWS)


@pytest.mark.parametrize("original", DEFECTS)
def test_the_test_of_a_row_fails_with_the_defect(original, request):
    row, defect = ROWS[original], DEFECTS[original]
    module = row.module()
    function = getattr(module, row.function)
    chosen = defect.arguments(module) if callable(defect.arguments) else defect.arguments
    fixtures = set(inspect.signature(function).parameters) - set(chosen)
    arguments = {**chosen, **{name: request.getfixturevalue(name) for name in sorted(fixtures)}}
    takes_module = "test_module" in inspect.signature(defect.put_back).parameters
    with (
        defect.put_back(*[module] * takes_module),
        pytest.raises((AssertionError, pytest.fail.Exception)),
    ):
        function(**arguments)


def test_a_file_that_was_parsed_before_is_parsed_again_when_it_changes():
    def width():
        return gin_models.own_bindings("sizes/tiny.gin")["d_model", "gin.macro", "value"]

    before = width()
    with put_back.changed_gin_file("sizes/tiny.gin", f"d_model = {before}", "d_model = 17"):
        assert width() == "17" != before
    assert width() == before
