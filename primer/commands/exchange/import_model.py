"""`primer import`: writes a model directory with the weights of another system's model."""

import argparse

from primer.commands import options as shared
from primer.common import console, user_paths
from primer.planning.plans import engine_imports


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    parser.add_argument(
        "--from",
        dest="source",
        type=user_paths.expand,
        required=True,
        help="a local folder of a Hugging Face model: config.json, and safetensors or .bin",
    )
    parser.add_argument(
        "--model_dir", type=user_paths.expand, required=True, help="a new model directory"
    )
    parser.add_argument(
        "--task", required=True, help="as of primer train, with as many token ids as the model"
    )
    shared.add_gin_file(parser)
    shared.add_gin_param(parser)
    shared.add_module_import(parser)


def run(options: argparse.Namespace) -> int:
    """Writes the directory, says what it has, and returns 0."""
    with engine_imports.imported(options.module_import):
        from primer.convert.huggingface import importing  # Not at the top: it imports TensorFlow.

        found = importing.run(
            options.source,
            options.model_dir,
            options.task,
            options.gin_file,
            options.gin_param,
            options.module_import,
        )
    console.say(
        f"{found.family}: {found.parameters:,} parameters of {found.weights} weights, as step 0 of "
        f"{options.model_dir}; windows of {found.length:,} tokens (utils.run.sequence_length)\n"
        f"Next: primer eval --model_dir {options.model_dir}"
    )
    return 0
