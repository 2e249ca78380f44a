"""`primer generate`: text from a trained model, each token as it comes."""

from primer.launch import engine


def add_arguments(parser):
    """Adds the arguments of the command to its parser."""
    parser.add_argument("--model_dir", required=True, help="a trained model")
    parser.add_argument(
        "--prompt", action="append", default=[], help="the text to continue; may be repeated"
    )
    parser.add_argument("--prompt_file", help="a file of prompts, one a line")
    parser.add_argument("--num_samples", type=int, help="texts per prompt (1)")
    parser.add_argument("--max_tokens", type=int, help="the most new tokens per text (128)")
    parser.add_argument(
        "--temperature", type=float, help="0 for the best token; 1 (default) is the model's own"
    )
    parser.add_argument("--top_k", type=int, help="draw from the k best tokens (all)")
    parser.add_argument(
        "--top_p", type=float, help="draw from the best tokens that have this probability (1)"
    )
    parser.add_argument("--seed", type=int, help="the same seed gives the same text")
    parser.add_argument(
        "--stop", action="append", default=[], help="a string that ends the text; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a text")
    parser.add_argument("--checkpoint", help="latest (default), best, or a step")
    parser.add_argument(
        "--module_import", action="append", default=[], help="a further Python module to import"
    )


def run(options) -> int:
    """Prints the command of the engine and runs it."""
    arguments = engine_arguments(options)
    engine.print_command(arguments)
    return engine.run_main(arguments)


def engine_arguments(options) -> list:
    """The arguments of `t5_mesh_transformer` that the options stand for.

    Raises:
        UsageError: the directory is not there or says nothing of its model.
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
    }
    bindings = [
        f"generate_text.{name} = {value!r}" for name, value in settings.items() if value is not None
    ]
    return engine.arguments_for_model_dir(
        options.model_dir, "run/generate.gin", bindings, options.module_import
    )
