"""Cases in which the published gin files built something else than they state."""

import gin
import pytest

from primer.gin_config import config_files
from primer.layers import MDHA, MixtureOfExperts, PrePostNormLayerStack, SynthesizerAttention
from tests import gin_models

PAPER_TASKS = ("c4", "lm1b", "pg19")


def layers_of(files, *bindings, kind):
    """Returns the stack of the model that gin files describe, and its layers of one class."""
    stack = gin_models.build(files, bindings).layer_stack
    return stack, [layer for layer in stack._layers if isinstance(layer, kind)]


@pytest.mark.parametrize("model", ["switch_transformer", "switch_primer"])
def test_capacity_is_that_of_the_published_runs_and_two_settings_change_it(model):
    """The original binds 1.2 in the scope `deccoder/`, which no language model enters."""
    files = config_files.published_model_files(model)
    meant = [f"capacity_factor_{phase} = 1.2" for phase in ("train", "eval")]
    for bindings, expected in (((), (1.25, 2.0)), (meant, (1.2, 1.2))):
        _, layers = layers_of(files, *bindings, kind=MixtureOfExperts)
        assert layers
        for layer in layers:
            gating = layer.gating
            phases = (gating.training, gating.evaluation)
            assert tuple(phase.capacity_factor for phase in phases) == expected


def test_switch_primer_is_primer_ez_with_experts():
    """It lacks the shared projection and the norms of Primer, as in the paper's table."""
    stack, attention = layers_of(config_files.published_model_files("switch_primer"), kind=MDHA)
    assert attention and not any(layer.share_qk_rep for layer in attention)
    assert not isinstance(stack, PrePostNormLayerStack)


def test_released_synthesizer_has_8_heads_and_one_file_sets_those_of_its_size():
    """The original binds heads only for SelfAttention."""
    released = config_files.published_model_files("synthesizer")
    own = [*released, "architectures/synthesizer.gin"]
    for files, heads in ((released, (8, 128)), (own, (12, 64))):
        _, layers = layers_of(files, kind=SynthesizerAttention)
        assert {(layer.num_heads, layer.kv_dim.size) for layer in layers} == {heads}


@pytest.mark.parametrize("task", PAPER_TASKS)
def test_a_data_set_sets_its_schedule_and_length(task, load):
    """The default schedule decays to zero at the end; the original's commands replace it."""
    load(
        [
            *config_files.published_model_files("small_primer"),
            config_files.gin_file("datasets", task),
        ]
    )
    assert gin.query_parameter("learning_rate_schedule_noam.linear_decay_fraction") == 0.0
    length = gin.query_parameter("utils.run.sequence_length")["targets"]
    assert length == (64 if task == "lm1b" else 512)
