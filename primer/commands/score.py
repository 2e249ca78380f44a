"""`primer score`: the log-probability of every document, and on request of every token."""

from primer.launch import engine


def add_arguments(parser):
    """Adds the arguments of the command to its parser."""
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help=".txt, .jsonl, each also .gz, .zst or .xz, or .parquet; a glob in quotes is one, too",
    )
    parser.add_argument("--model_dir", required=True, help="a trained model")
    parser.add_argument("--split", help="in place of files: a split of the model's own data set")
    parser.add_argument("--task", help="with --split: another data set")
    parser.add_argument("--checkpoint", help="latest (default), best, or a step")
    parser.add_argument(
        "--tokens", action="store_true", help="every token's log-probability in each row"
    )
    parser.add_argument("--format", help="jsonl (default) or parquet")
    parser.add_argument("--output", help="a file; without it JSON lines on standard output")
    parser.add_argument(
        "--unit", help="a document of a .txt file is a file or a line (as the model's data set)"
    )
    parser.add_argument("--field", help="the key in .jsonl, the column in .parquet (text)")
    parser.add_argument(
        "--protocol", help="packed (default), document, stream or sliding; see docs/protocols.md"
    )
    parser.add_argument("--stride", type=int, help="of sliding: tokens between two windows")
    parser.add_argument(
        "--batch_size", type=int, help="windows per batch; changes the speed, not the numbers"
    )
    parser.add_argument(
        "--gin_param", action="append", default=[], help="a further setting; may be repeated"
    )
    parser.add_argument(
        "--module_import", action="append", default=[], help="a further Python module to import"
    )
    parser.add_argument("--t5_tfds_data_dir", help="the folder of prepared TensorFlow data sets")


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
        "score_texts.files": options.files or None,
        "score_texts.task": options.task,
        "score_texts.split": options.split,
        "score_texts.unit": options.unit,
        "score_texts.field": options.field,
        "score_texts.checkpoint": options.checkpoint,
        "score_texts.tokens": options.tokens or None,
        "score_texts.format": options.format,
        "score_texts.output": options.output,
        "score_texts.batch_size": options.batch_size,
        "protocol.name": options.protocol,
        "protocol.stride": options.stride,
    }
    return engine.arguments_for_model_dir(
        options.model_dir,
        "run/score.gin",
        [*engine.gin_bindings(settings), *options.gin_param],
        options.module_import,
        options.t5_tfds_data_dir,
    )
