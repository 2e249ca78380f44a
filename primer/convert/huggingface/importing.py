"""A Hugging Face model as a model directory."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from primer.convert import model_directories
from primer.convert.huggingface import folder, names, settings, weights
from primer.errors import UsageError
from primer.launch import train

# The longest window that a model gets by itself: today's models have positions for 100,000 tokens.
_LONGEST = 1024
_POSITIONS = ("max_position_embeddings", "n_positions")
# Mesh-TensorFlow pads tables of tokens to a multiple of this (Unitransformer.vocab_divisor).
_ROWS = 128


@dataclasses.dataclass(frozen=True)
class Imported:
    """What was imported.

    Attributes:
        family: the family of the model.
        weights: the number of weights of Hugging Face's model.
        parameters: their elements.
        length: tokens of the model's window, unless gin says otherwise.
    """

    family: str
    weights: int
    parameters: int
    length: int


def run(
    source: str,
    model_dir: str,
    task: str,
    gin_file: Sequence[str] = (),
    gin_param: Sequence[str] = (),
    module_import: Sequence[str] = (),
) -> Imported:
    """Writes a model directory with the weights of a Hugging Face model.

    Args:
        source: a local folder with config.json and weights.
        model_dir: a directory that does not exist, or is empty.
        task: as for training, of the model's number of token ids.
        gin_file, gin_param, module_import: as for training.

    Raises:
        UsageError: the folder has no model, or one that has no counterpart; the model directory
            has files.
        RunError: a file is damaged, or the directory cannot be written.
    """
    model_directories.check_is_new(model_dir, "--model_dir")
    config = folder.read_config(source)
    found = of_config(config)
    rows = -(-found.vocabulary_size // _ROWS) * _ROWS
    state = folder.read_weights(source)
    own = names.OF_FAMILY[config["model_type"]](found.slots)
    variables = weights.converted(own, state, rows)
    length = min([_LONGEST, *(config[key] for key in _POSITIONS if key in config)])
    window = f'utils.run.sequence_length = {{"inputs": 1, "targets": {length}}}'
    # The bindings have all sizes; the file has those that this architecture does not use.
    choice = train.ModelChoice(None, found.architecture, found.activation, "tiny")
    run = train.TrainingRun(
        choice,
        model_dir,
        task=task,
        gin_file=gin_file,
        gin_param=[*found.bindings, window, *gin_param],
        module_import=module_import,
    )
    model_directories.write(model_dir, _new_model(run, found.vocabulary_size), variables)
    count = sum(state[weight.theirs].size for weight in own)
    return Imported(config["model_type"], len(own), count, length)


def of_config(config: dict[str, Any]) -> settings.Settings:
    """Returns the model of a configuration.

    Raises:
        UsageError: its family is not known, or a setting has no counterpart.
    """
    family = config["model_type"]
    if family not in settings.OF_FAMILY:
        raise UsageError(
            f"model_type = {family!r} has no counterpart: expected one of "
            + ", ".join(settings.OF_FAMILY)
        )
    try:
        return settings.OF_FAMILY[family](config)
    except KeyError as error:
        raise UsageError(f"config.json has no {error.args[0]}, which {family} needs") from error


def _new_model(run: train.TrainingRun, token_ids: int) -> model_directories.NewModel:
    arguments = train.engine_arguments(run)

    def values(flag: str) -> list[str]:
        return [word.removeprefix(flag) for word in arguments if word.startswith(flag)]

    return model_directories.NewModel(values("--gin_file="), values("--gin_param="), token_ids)
