"""`primer score`: writes the log-probability of every document, or of every token of it."""

import argparse

from primer.commands import options as shared
from primer.common import user_paths
from primer.launch import engine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    parser.add_argument(
        "files",
        type=user_paths.expand,
        nargs="*",
        metavar="FILE",
        help=".txt, .jsonl, each also .gz, .zst or .xz, or .parquet; or a quoted glob",
    )
    shared.add_trained_model_dir(parser)
    parser.add_argument("--split", help="in place of files: a split of the model's own data set")
    parser.add_argument("--task", help="with --split: another data set")
    shared.add_checkpoint(parser)
    parser.add_argument(
        "--tokens", action="store_true", help="every token's log-probability in each row"
    )
    parser.add_argument("--format", help="jsonl (default) or parquet")
    parser.add_argument(
        "--output",
        type=user_paths.expand,
        help="a new file; without it JSON lines on standard output",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument(
        "--unit",
        help="what a document of a .txt file is: file or line (default: the model's data set)",
    )
    parser.add_argument("--field", help="the key in .jsonl, the column in .parquet (text)")
    shared.add_scoring(
        parser, "packed (default), document, stream or sliding; see docs/protocols.md"
    )
    shared.add_gin_param(parser)
    shared.add_module_import(parser)
    shared.add_trust(parser)
    shared.add_tfds_data_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the engine's command, runs it, and returns its exit code."""
    return engine.print_and_run(engine_arguments(options))


def engine_arguments(options: argparse.Namespace) -> list[str]:
    """Returns the arguments of `t5_mesh_transformer` for these options.

    Raises:
        UsageError: the directory does not exist or has no configuration of a model.
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
        "score_texts.overwrite": options.overwrite or None,
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
        options.trust,
    )
