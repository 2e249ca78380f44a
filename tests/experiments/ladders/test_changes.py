"""Changes are gin bindings with names of their own."""

import pytest

from primer.errors import UsageError
from primer.experiments.ladders import bases, changes
from primer.gin_config import config_files


def test_changes_have_labels_and_the_base_is_first():
    found = changes.parse(
        ["attention = @MDHA", "Unitransformer.z_loss = 1e-4", 'qk_norm = "rms"\ntoken_shift = True']
    )
    assert [change.label for change in found] == [
        "base",
        "attention-MDHA",
        "z_loss-1e-4",
        "qk_norm-rms+token_shift-True",
    ]
    assert found[0].lines == ()
    assert found[3].lines == ['qk_norm = "rms"', "token_shift = True"]


@pytest.mark.parametrize(
    "texts, message",
    [
        (["mdha"], "'mdha' is no gin binding"),
        (["attention = "], "is no gin binding"),
        ([" "], "expected a gin binding, as attention = @MDHA"),
        (["include 'architectures/primer_ez.gin'"], "expected a gin binding"),
        (["attention = @MDHA", "attention  =  @MDHA"], "another change is called attention-MDHA"),
    ],
)
def test_what_is_no_binding_is_refused_in_one_line(texts, message):
    with pytest.raises(UsageError, match=message) as error:
        changes.parse(texts)
    assert "\n" not in str(error.value)


def test_an_unknown_slot_is_named_with_the_nearest_one():
    (_, wrong), (_, dotted) = (changes.parse([text]) for text in ("attentoin = 1", "A.b = 1"))
    arguments = ["--gin_file=architectures/llama.gin"]
    with pytest.raises(UsageError, match="--change 'attentoin = 1'.*did you mean attention"):
        changes.require_slots(wrong, arguments)
    changes.require_slots(dotted, arguments)  # gin checks it.


def test_activations_are_those_that_architectures_name():
    known = set(config_files.names_of_kind("activations"))
    assert bases.activation_of("llama") == "swiglu"
    assert bases.activation_of("primer_ez") == "squared_relu"
    assert bases.activation_of("gpt_neox") == "gelu_exact"
    found = 0
    for name in config_files.names_of_kind("architectures"):
        try:
            assert bases.activation_of(name) in known
            found += 1
        except UsageError as error:
            assert "names no activation; set --activation" in str(error)
    assert found > 15


def test_other_bases_are_refused():
    with pytest.raises(UsageError, match="no 'lama'; expected one of"):
        bases.activation_of("lama")
    with pytest.raises(UsageError, match="--base nowhere.gin: there is no such file"):
        bases.activation_of("nowhere.gin")
