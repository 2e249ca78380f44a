"""`primer export`: writes a trained model as files for other programs."""

import argparse

from primer.commands import options as shared
from primer.common import console, user_paths
from primer.planning.plans import engine_imports

FORMATS = ("huggingface", "pytorch", "safetensors", "npz")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    shared.add_trained_model_dir(parser)
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="huggingface: for AutoModelForCausalLM, where it has the architecture; pytorch: a "
        "PyTorch file for exactly this model, and its weights; safetensors, npz: the weights under "
        "Primer's names (default: huggingface)",
    )
    parser.add_argument("--output", type=user_paths.expand, required=True, help="a new folder")
    shared.add_checkpoint(parser)
    shared.add_trust(parser)


def run(options: argparse.Namespace) -> int:
    """Writes the files, says what they are, and returns 0."""
    with engine_imports.imported():
        from primer.convert import exporting  # Not at the top: it imports TensorFlow.

        sentences = exporting.run(
            options.model_dir,
            options.output,
            options.format,
            options.checkpoint or "latest",
            tuple(options.trust),
        )
    for sentence in sentences:
        console.say(sentence)
    return 0
