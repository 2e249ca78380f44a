"""`primer generate`: continues prompts with a trained model and prints each token as it comes."""

import argparse

from primer.commands import options as shared
from primer.common import user_paths
from primer.launch import engine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    shared.add_trained_model_dir(parser)
    parser.add_argument(
        "--prompt", action="append", default=[], help="the text to continue; may be repeated"
    )
    parser.add_argument(
        "--prompt_file", type=user_paths.expand, help="a file with one prompt on each line"
    )
    parser.add_argument("--num_samples", type=int, help="texts per prompt (1)")
    parser.add_argument("--max_tokens", type=int, help="the most new tokens per text (128)")
    parser.add_argument(
        "--temperature",
        type=float,
        help="0: the most probable token; 1 (default): draw from the model's probabilities",
    )
    parser.add_argument("--top_k", type=int, help="draw from the k most probable tokens (all)")
    parser.add_argument(
        "--top_p",
        type=float,
        help="draw from the most probable tokens that together have this probability (1)",
    )
    shared.add_seed(parser, "the same seed gives the same text")
    parser.add_argument(
        "--stop", action="append", default=[], help="a string that ends the text; may be repeated"
    )
    parser.add_argument(
        "--ids", action="store_true", help="prompts and texts are token ids, separated by spaces"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per text")
    shared.add_checkpoint(parser)
    shared.add_gin_param(parser, "memory_length = 256")
    shared.add_module_import(parser)
    shared.add_trust(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the engine's command, runs it, and returns its exit code."""
    return engine.print_and_run(engine_arguments(options))


def engine_arguments(options: argparse.Namespace) -> list[str]:
    """Returns the arguments of `t5_mesh_transformer` for these options.

    Raises:
        UsageError: the directory does not exist or has no configuration of a model.
    """
    settings = {
        "prompts": options.prompt or None,
        "prompt_file": options.prompt_file,
        "num_samples": options.num_samples,
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "top_k": options.top_k,
        "top_p": options.top_p,
        "seed": options.seed,
        "stops": options.stop or None,
        "checkpoint": options.checkpoint,
        "as_json": options.json or None,
        "as_ids": options.ids or None,
    }
    bindings = [
        f"generate_text.{name} = {value!r}" for name, value in settings.items() if value is not None
    ]
    return engine.arguments_for_model_dir(
        options.model_dir,
        "run/generate.gin",
        [*bindings, *options.gin_param],
        options.module_import,
        trust=options.trust,
    )
