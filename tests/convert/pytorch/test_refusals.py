"""Models that the PyTorch file cannot have: one line each, which names the setting."""

import copy

import pytest

from primer.convert.pytorch import model_file
from primer.errors import UsageError
from primer.runtime import model_function
from tests.convert.pytorch import exported
from tests.layers import test_every_composition


@pytest.fixture(scope="module")
def given():
    """Returns the description of Primer with experts, and its shapes."""
    model = test_every_composition.case(("primer", "switch")).build()
    function = model_function.of_model(model, exported.Vocabulary(), exported.LENGTH)
    special = {"title": "of a test", "length": 24, "token_ids": 97, "end_token_id": 1}
    return {**function.description, **special}, function.shapes


def written(given, change=None, shapes=None, multiplier=None):
    """Returns the file of a changed description."""
    description = copy.deepcopy(given[0])
    if change:
        change(description)
    return model_file.write(description, {**given[1], **(shapes or {})}, multiplier)


def refused(given, change=None, shapes=None):
    with pytest.raises(UsageError) as found:
        written(given, change, shapes)
    message = str(found.value)
    assert "\n" not in message and "use --format safetensors" in message
    return message


def in_layer(index, **settings):
    return lambda description: description["wiring"]["layers"][index].update(settings)


def test_settings_of_layers(given):
    memory = refused(given, in_layer(0, recurrence={"class": "Recurrence", "zero_memory": True}))
    assert memory.startswith("MDHA.recurrence.zero_memory = True cannot be written")
    reach = {"class": "Reach", "memory_length": 4, "segment_length": None, "same_length": False}
    memory = {"class": "Recurrence", "zero_memory": False, "evaluate": reach}
    found = refused(given, in_layer(0, recurrence=memory, positions="learned"))
    assert found.startswith("MDHA.positions = 'learned' cannot be written")
    assert "MDHA.newer = 3" in refused(given, in_layer(0, newer=3))
    assert "transformer_xl_sinusoid" in refused(
        given, in_layer(0, positions="transformer_xl_sinusoid")
    )
    assert "the layer Mamba cannot" in refused(given, in_layer(0, **{"class": "Mamba"}))

    def choose(description):
        description["wiring"]["layers"][1]["gating"]["gating"] = "expert_choice"

    assert "MixtureOfExperts.gating = 'expert_choice'" in refused(given, choose)


def test_settings_of_the_model(given):
    def other_norm(description):
        wiring = description["wiring"]
        for name in ("sublayers_per_layer", "sublayers_final"):
            wiring[name] = [s.replace("primer_norm", "batch_norm") for s in wiring[name]]

    assert "the norm sublayer_batch_norm cannot" in refused(given, other_norm)
    embedding = {"get_vocab_embedding_cls.cls": "@VocabEmbedding"}
    message = refused(given, lambda description: description["configuration"].update(embedding))
    assert "get_vocab_embedding_cls.cls = @VocabEmbedding" in message
    stack = refused(given, lambda d: d["wiring"].update(layer_stack="ReversibleLayerStack"))
    assert "layer_stack = @ReversibleLayerStack" in stack


def test_no_variable_is_left_out(given):
    more = {"transformer/block_000/layer_000/MDHA/gate": [32]}
    assert "the variable transformer/block_000/layer_000/MDHA/gate" in refused(given, shapes=more)


def test_a_base_width_is_in_the_factors(given):
    plain, scaled = written(given).source, written(given, multiplier=4.0).source
    # 32^-0.5 of the width; with m = 4, (32 / 4)^-0.5 / 4.
    assert f"x * {32**-0.5!r}" in plain
    assert f"x * {8**-0.5 / 4!r}" in scaled


def test_the_file_has_what_the_model_needs_and_no_more(given):
    made = written(given)
    compile(made.source, "modeling_primer.py", "exec")
    for text in ("class Experts(", "class NormedOutput(", "CausalConvolution(32, 3)"):
        assert text in made.source
    for text in ("rotate", "RMSNorm", "sinusoids", "spatial", "$", "#if", "CLASS"):
        assert text not in made.source
    assert max(map(len, made.source.splitlines())) <= 100
    assert set(given[1]) == {name for weight in made.weights.values() for name in weight.sources}
