"""`primer data prepare`: writes a task's texts as tokenized records, which are faster to read."""

import argparse
import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from primer.commands import options as shared
from primer.commands.data import text_options
from primer.commands.data.prepare_worker import start_worker
from primer.common import checks, user_paths

if TYPE_CHECKING:
    from primer.data.prepared.plan import Plan
    from primer.data.prepared.prepare import Preparation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    text_options.add_arguments(parser)
    text_options.add_vocabulary_argument(parser)
    parser.add_argument(
        "--output",
        type=user_paths.expand,
        required=True,
        help="the folder that gets a folder per task",
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes (one per processor)"
    )
    parser.add_argument(
        "--shards", type=int, help="files per split (one per 64 MiB of input, at least 16)"
    )
    shared.add_seed(parser, "of the order in which documents are written (0)", default=0)
    parser.add_argument(
        "--format",
        default="seqio",
        help="seqio (default), read with use_cached; or gpt_neo, TFRecords of `text` int64",
    )
    parser.add_argument(
        "--chunk_size",
        type=int,
        help="with gpt_neo: tokens per record (default: a record is a document)",
    )
    parser.add_argument(
        "--pipeline_options",
        help="write with Apache Beam, on one machine or many: its options in one text, as "
        '"--runner=DirectRunner --direct_num_workers=2 --direct_running_mode=multi_processing"',
    )


def run(options: argparse.Namespace) -> int:
    """Prepares the data and prints a summary; returns the exit code."""
    checks.whole_number("--workers", options.workers)
    with text_options.configured_task_and_vocabulary(options) as task:
        from primer.commands.data import tables
        from primer.data.prepared import plan, prepare

        task_plan = plan.make_plan(
            task,
            options.output,
            options.format,
            options.shards,
            chunk_size=options.chunk_size,
            seed=options.seed,
            modules=tuple(text_options.modules_to_import(options)),
            tfds_data_dir=options.t5_tfds_data_dir,
        )
        with _exclusive(task_plan):
            manifest, written = prepare.prepare(task_plan, _shard_writer(options))
    tables.show_prepared(task_plan, manifest, written)
    return 0


@contextlib.contextmanager
def _exclusive(plan: "Plan") -> Iterator[None]:
    """A context in which no other process can write the same data set."""
    from primer.checkpoints import directory_lock
    from primer.data.prepared import manifest

    with directory_lock.held(manifest.task_directory(plan.output, plan.task)):
        yield


def _shard_writer(options: argparse.Namespace) -> "Callable[[Preparation], None]":
    """Returns the function that writes the remaining shards of a data set."""
    from primer.commands.data import shard_progress
    from primer.data.prepared import beam, pool

    def write(begun):
        if options.pipeline_options is not None:
            words = shlex.split(options.pipeline_options)
            beam.write_shards(begun.plan, begun.remaining, words, start_worker)
            return
        with shard_progress.ShardProgress(begun) as progress:
            pool.write_shards(
                begun.plan,
                begun.remaining,
                options.workers,
                start_worker,
                progress.add_bytes,
                progress.add_shard,
            )

    return write
