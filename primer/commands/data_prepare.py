"""`primer data prepare`: a task's texts as tokenized records that training reads at full speed."""

import contextlib
import os
import shlex

from primer.commands import train
from primer.errors import UsageError

_TEXT_SETTINGS = ("unit", "field", "held_out", "on_bad_utf8", "normalize")
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
    parser.add_argument("--task", help="a registered task, or a name of datasets/")
    parser.add_argument(
        "--input", action="append", help="files of your own: a glob; may be repeated"
    )
    parser.add_argument(
        "--vocabulary", help="t5, sotu, bytes, ..., or a SentencePiece model (the task's own)"
    )
    parser.add_argument("--unit", help="with --input: a document is a file (default) or a line")
    parser.add_argument("--field", help="with --input: the text's key or column (text)")
    parser.add_argument(
        "--held_out", type=float, help="with --input: the share for validation (0.05)"
    )
    parser.add_argument("--on_bad_utf8", help="with --input: error (default) or skip")
    parser.add_argument("--normalize", help="with --input: nfkc; nothing is changed without it")
    train.add_gin_arguments(parser)


def run(options) -> int:
    """Prepares the data and prints what there is."""
    if options.workers < 1:
        raise UsageError(f"--workers {options.workers}: expected a positive number")
    with configured(options) as task:
        from primer.commands import data_tables
        from primer.data.prepared import plan, prepare

        made = plan.make(
            task,
            options.output,
            options.format,
            options.shards,
            chunk_size=options.chunk_size,
            modules=tuple(options.module_import),
            tfds_data_dir=options.t5_tfds_data_dir,
        )
        with _alone(made):
            manifest, written = prepare.prepare(made, _writer(options))
    data_tables.show_prepared(made, manifest, written)
    return 0


@contextlib.contextmanager
def _alone(plan):
    """No second run writes the same data set at the same time."""
    from primer.data.prepared import manifest
    from primer.runtime import directory_lock

    with directory_lock.held(manifest.folder(plan.output, plan.task)):
        yield


def _writer(options):
    """The function that writes the shards of a data set that was begun."""
    from primer.commands import data_progress
    from primer.data.prepared import beam, pool

    def write(begun):
        if options.pipeline_options is not None:
            words = shlex.split(options.pipeline_options)
            beam.run(begun.plan, begun.remaining, words, start_worker)
            return
        with data_progress.Shards(begun) as progress:
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
    from primer.runtime import hook, logs

    logs.capture_early()
    hook.install()
    # Until the process ends: what TensorFlow's libraries write is for nobody.
    _quiet.enter_context(logs.redirected(None, "prepare"))
    _import(plan["modules"])
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
    from primer.runtime import hook, logs

    logs.capture_early()
    hook.install()
    _import([*(["t5_imports"] if options.gin_file else []), *options.module_import])
    import gin
    import t5.data

    from primer.evaluation import gin_state

    if options.t5_tfds_data_dir:
        t5.data.set_tfds_data_dir_override(options.t5_tfds_data_dir)
    with logs.redirected(None, "prepare"), gin_state.isolated():
        task = _task(options)
        gin.parse_config_files_and_bindings(
            options.gin_file, [*_bindings(options), *options.gin_param], finalize_config=False
        )
        yield task


def _import(modules):
    import importlib

    for name in ["primer.data.tasks", *modules]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"--module_import={name}: {error}") from error


def _task(options) -> str:
    if bool(options.task) == bool(options.input):
        raise UsageError("give --task, or --input with files of your own: one of the two")
    if options.input:
        return "text"
    import seqio

    if options.task in seqio.TaskRegistry.names() or options.task in seqio.MixtureRegistry.names():
        return options.task
    return _tasks_of_files().get(options.task, options.task)


def _tasks_of_files():
    """A name of datasets/ -> the task that it sets."""
    return {file: task for task, file in train.full_names().items()}


def _bindings(options):
    """The options as gin has them."""
    bound = [f"text_files.glob = {options.input!r}"] if options.input else []
    for name in _TEXT_SETTINGS:
        value = getattr(options, name)
        if value is None:
            continue
        if not options.input and options.task != "text":
            raise UsageError(
                f"--{name} {value} is about files of your own (--input); the texts of task "
                f"{options.task} are what they are, so that results stay comparable"
            )
        bound.append(f"text_files.{name} = {value!r}")
    return [*bound, *_vocabulary(options.vocabulary)]


def _vocabulary(name):
    from primer.data import vocabularies

    if name is None:
        return []
    if name in vocabularies.names():
        return [f"task_vocabulary.name = {name!r}"]
    if not os.path.exists(name) and "://" not in name:
        raise UsageError(
            f"--vocabulary {name}: there is no such file; expected a SentencePiece model, or one "
            f"of {', '.join(vocabularies.names())}"
        )
    return [
        "task_vocabulary.name = 'sentencepiece'",
        f"task_vocabulary.model_file = {os.path.abspath(name)!r}",
    ]


def objective_file() -> str:
    """t5's `objectives/lm.gin`: documents are joined and cut into rows."""
    import t5.models

    return os.path.join(os.path.dirname(t5.models.__file__), "gin", "objectives", "lm.gin")
