"""`primer data prepare`: a task's texts as tokenized records that training reads at full speed."""

import contextlib
import os
import shlex

from primer.commands.data import text_options
from primer.common import checks
from primer.errors import UsageError

_quiet = contextlib.ExitStack()


def add_arguments(parser):
    """Adds the arguments of the command to its parser."""
    add_input_arguments(parser)
    parser.add_argument("--output", required=True, help="the folder that gets a folder per task")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes (one a processor)"
    )
    parser.add_argument(
        "--shards", type=int, help="files per split (one per 64 MiB of input, at least 16)"
    )
    parser.add_argument(
        "--format",
        default="seqio",
        help="seqio (default), read with use_cached; or gpt_neo, TFRecords of `text` int64",
    )
    parser.add_argument(
        "--chunk_size", type=int, help="with gpt_neo: tokens of a record; without it a document"
    )
    parser.add_argument(
        "--pipeline_options",
        help="write by Apache Beam, on one machine or many: its options in one text, as "
        '"--runner=DirectRunner --direct_num_workers=2 --direct_running_mode=multi_processing"',
    )


def add_input_arguments(parser):
    """Adds what says which texts, and in which vocabulary."""
    text_options.add_arguments(parser)
    parser.add_argument(
        "--vocabulary", help="t5, sotu, bytes, ..., or a SentencePiece model (the task's own)"
    )


def run(options) -> int:
    """Prepares the data and prints what there is."""
    checks.whole_number("--workers", options.workers)
    with configured(options) as task:
        from primer.commands.data import tables
        from primer.data.prepared import plan, prepare

        made = plan.make(
            task,
            options.output,
            options.format,
            options.shards,
            chunk_size=options.chunk_size,
            modules=tuple(text_options.own_modules(options)),
            tfds_data_dir=options.t5_tfds_data_dir,
        )
        with _alone(made):
            manifest, written = prepare.prepare(made, _writer(options))
    tables.show_prepared(made, manifest, written)
    return 0


@contextlib.contextmanager
def _alone(plan):
    """No second run writes the same data set at the same time."""
    from primer.checkpoints import directory_lock
    from primer.data.prepared import manifest

    with directory_lock.held(manifest.folder(plan.output, plan.task)):
        yield


def _writer(options):
    """The function that writes the shards of a data set that was begun."""
    from primer.commands.data import shard_progress
    from primer.data.prepared import beam, pool

    def write(begun):
        if options.pipeline_options is not None:
            words = shlex.split(options.pipeline_options)
            beam.run(begun.plan, begun.remaining, words, start_worker)
            return
        with shard_progress.ShardProgress(begun) as progress:
            pool.run(
                begun.plan,
                begun.remaining,
                options.workers,
                start_worker,
                progress.add_bytes,
                progress.add_shard,
            )

    return write


def start_worker(plan, reports=None):
    """Makes a new process as ready as this one: TensorFlow mended, modules imported, gin set.

    Args:
        plan: the fields of a `primer.data.prepared.plan.Plan`; not the object itself, whose module
            needs what is mended here.
        reports: a queue that takes the bytes of text that are done; None where nobody asks.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from primer.common import console
    from primer.runtime import import_hook

    console.capture_early()
    import_hook.install()
    # Until the process ends: what TensorFlow's libraries write is for nobody.
    _quiet.enter_context(console.redirected(None, "prepare"))
    text_options.import_modules(plan["modules"])
    import gin
    import t5.data

    if plan["tfds_data_dir"]:
        t5.data.set_tfds_data_dir_override(plan["tfds_data_dir"])
    with gin.unlock_config():
        # What the files bind besides data (layers, a trainer) is not known here.
        gin.parse_config(plan["gin"], skip_unknown=True)
    if reports is not None:
        from primer.data.prepared import pool

        pool.join(reports)


@contextlib.contextmanager
def configured(options):
    """gin as the options have it, inside the block; gives the name of the task."""
    from primer.common import console

    with text_options.task_of(options) as task, console.redirected(None, "prepare"):
        _bind_vocabulary(options.vocabulary)
        yield task


def _bind_vocabulary(name):
    import gin

    from primer.data.vocabularies import task_vocabulary

    if name is None:
        return
    if name in task_vocabulary.vocabulary_names():
        gin.bind_parameter("task_vocabulary.name", name)
        return
    if not os.path.exists(name) and "://" not in name:
        raise UsageError(
            f"--vocabulary {name}: there is no such file; expected a SentencePiece model, or one "
            f"of {', '.join(task_vocabulary.vocabulary_names())}"
        )
    path = name if "://" in name else os.path.abspath(name)
    gin.bind_parameter("task_vocabulary.name", "sentencepiece")
    gin.bind_parameter("task_vocabulary.model_file", path)


def objective_file() -> str:
    """t5's `objectives/lm.gin`: documents are joined and cut into rows."""
    import t5.models

    return os.path.join(os.path.dirname(t5.models.__file__), "gin", "objectives", "lm.gin")
