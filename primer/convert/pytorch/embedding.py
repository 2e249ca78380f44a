"""The embedding of tokens and the output of a model."""

from collections.abc import Mapping
from typing import Any

from primer.convert.pytorch.parts import Settings, Weight, refusal
from primer.layers.scales import resolve

NAMES = _OWN, ADAPTIVE = "TokenEmbedding", "AdaptiveEmbedding"


def name_of(configuration: Mapping[str, Any]) -> str:
    """Returns the name of the embedding's class.

    Raises:
        UsageError: it is none of this library, or multiplies by factors of Mesh-TensorFlow.
    """
    for setting in (
        "unit_scaling_convention.value",
        "VocabEmbedding.scale_variable_like_classifier_weights",
    ):
        if configuration.get(setting):
            raise refusal(f"{setting} = True")
    given = configuration.get("get_vocab_embedding_cls.cls", "@VocabEmbedding")
    name = str(given).rpartition(".")[2].lstrip("@")
    if name not in NAMES:
        raise refusal(f"get_vocab_embedding_cls.cls = {given}")
    return name


def values(
    configuration: Mapping[str, Any], settings: Mapping[str, Any], d_model: int, m: float | None
) -> tuple[dict[str, Any], dict[str, Weight]]:
    """Returns what the template of the model needs of its embedding, and the weights.

    Args:
        configuration: the description's.
        settings: those of the Unitransformer.
        d_model: the width.
        m: the value of TokenEmbedding.width_multiplier.

    Raises:
        UsageError: the embedding is another class, or has a setting that the file cannot have.
    """
    own = Settings(_OWN, parameters_of(_OWN, configuration))
    own.without_effect(("width_multiplier",))
    shared = settings.get("shared_embedding_and_softmax_weights", True)
    tied = own("tied_embeddings", True) and shared
    base_width = d_model / (m or 1.0)
    scale = own("logit_scale")
    scale = ("rsqrt" if tied else 1.0) if scale is None else scale
    factor = resolve(f"{_OWN}.logit_scale", scale, base_width)
    factor *= own("output_multiplier", 1.0) / (m or 1.0)
    if not shared:
        factor = 1.0
    embedding = resolve(f"{_OWN}.embedding_scale", own("embedding_scale", 1.0), base_width)
    cap = own("logit_cap")
    masked = own("mask_vocabulary_padding", False)
    own.check_all_known()
    factor /= cap or 1.0
    hidden = "x" if factor == 1.0 else f"(x * {factor!r})"
    weights = {"embedding": Weight(("embedding",))}
    if not tied:
        weights["output"] = Weight(("logits/kernel",))
    return {
        "embedding_scale": "" if embedding == 1.0 else f" * {embedding!r}",
        "untied": not tied,
        "own_output": not tied,
        "product_untied": f"{hidden} @ self.output",
        "product_tied": f"{hidden} @ self.embedding.T",
        "logit_cap": cap,
        "masked": masked,
    }, weights


def parameters_of(embedding: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters of an embedding's class, whatever their scopes."""
    found: dict[str, Any] = {}
    for name, value in configuration.items():
        configurable, _, parameter = name.rpartition(".")
        if configurable.rpartition("/")[2] == embedding:
            if found.setdefault(parameter, value) != value:
                raise refusal(f"{embedding}.{parameter} = {found[parameter]!r} and {value!r}")
    return found
