"""Which family of Hugging Face computes exactly what a model of ours computes."""

import ast
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from mesh_tensorflow.transformer import utils

from primer.checkpoints.description import model_description
from primer.convert import model_directories
from primer.convert.huggingface import configs, names, settings
from primer.convert.huggingface.weights import Weight
from primer.errors import UsageError
from primer.gin_config import isolation, slots
from primer.planning import parse
from primer.runtime import model_function
from primer.saved_model import SavedModel

# Of an output: nothing that the function of a model depends on.
_COMPARED = ("wiring", "configuration")
# Sizes of the tables with rows that pad them: what pads has no probability.
_PADDED = "output_vocabulary"


@dataclasses.dataclass(frozen=True)
class Match:
    """A family whose model is the same function.

    Attributes:
        family: its name in Hugging Face's configurations ("model_type").
        config: its config.json.
        weights: its weights and ours.
    """

    family: str
    config: Mapping[str, Any]
    weights: list[Weight]


def match(saved: SavedModel) -> Match:
    """Returns the family that computes the same, inside of `saved_model.settings_of`.

    For each family the configuration is made from the model's slots, and the model of this
    configuration is built from Primer's gin files: where its description is that of the run's
    model, both are one function.

    Raises:
        UsageError: there is none; the nearest one and what it lacks are named.
    """
    own = slot_values()
    nearest: tuple[int, str, str] | None = None
    for family in _likely_first(own):
        try:
            config = configs.of_family(family, own, saved.vocabulary.vocab_size, saved.length)
            found = settings.OF_FAMILY[family](config)
            different = list(_differences(saved, found))
        except UsageError as error:
            different = [str(error)]
        except KeyError as error:
            different = [f"no slot {error.args[0]}"]
        if not different:
            return Match(family, config, names.OF_FAMILY[family](found.slots))
        if nearest is None or len(different) < nearest[0]:
            nearest = len(different), family, different[0]
    assert nearest is not None
    raise UsageError(
        "no class of Hugging Face computes what this model does; the nearest is "
        f"{nearest[1]}, which differs in: {nearest[2]}; use --format pytorch"
    )


def slot_values() -> dict[str, Any]:
    """Returns {slot: value} of gin's configuration, references to functions as "@name"."""
    texts = slots.values_in_force()
    return {name: _value(text) for name, text in (texts | slots.resolve_references(texts)).items()}


def _value(text: str) -> Any:
    if "@" in text:
        bare = text.strip("[] ").split(",")[0]
        return [bare] if text.startswith("[") else "@" + bare.rpartition(".")[2].lstrip("@")
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _likely_first(own: Mapping[str, Any]) -> list[str]:
    """Returns the families, those with the model's positions and norm placement first."""
    rotary = own.get("positions") == "rotary"
    first = {
        "@ParallelLayerStack": ["gpt_neox"],
        "@SandwichNormLayerStack": ["gemma2"],
    }.get(str(own.get("layer_stack")), [])
    first += ["qwen3" if own.get("qk_norm") else "llama"] if rotary else []
    first += ["gpt_neo" if own.get("attention_kinds") else "gpt2"]
    return [*first, *(family for family in configs.OF_FAMILY if family not in first)]


def _differences(saved: SavedModel, found: settings.Settings) -> Iterator[str]:
    """Yields what the model of a configuration has otherwise than the run's, "place: a -> b"."""
    own, description = model_directories.description_of(saved), _description(found, saved)
    for part in _COMPARED:
        for one in model_description.differences(own[part], description[part]):
            if one.path[-1:] != (_PADDED,):
                yield str(one)


def _description(found: settings.Settings, saved: SavedModel) -> Mapping[str, Any]:
    size = saved.vocabulary.vocab_size
    with isolation.isolated():
        parse.parse_files(found.files, found.bindings)
        model = utils.build_model("lm", size, size, "", "")
        return model_function.of_model(model, saved.vocabulary, saved.length).description
