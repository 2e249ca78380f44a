"""Prepares a small corpus in this process, for the tests of prepared data."""

import pathlib

import gin

from primer.commands.data import prepare_worker
from primer.data.prepared import plan, pool, prepare

TASK = "text"
DOCUMENTS = 60
SHARDS = 3


def write(preparation, workers=1):
    """Writes the remaining shards, as `primer data prepare` does."""
    pool.write_shards(
        preparation.plan,
        preparation.remaining,
        workers,
        prepare_worker.start_worker,
        lambda size: None,
        lambda index: None,
    )


def make(output, task=TASK, **options):
    """Prepares a task in this process; returns the manifest."""
    options = {"shards": SHARDS, **options}
    return prepare.prepare(plan.make_plan(task, str(output), **options), write)[0]


def files(folder, pattern="*.tfrecord*"):
    """Returns {name: content} of the files of a folder."""
    return {path.name: path.read_bytes() for path in sorted(pathlib.Path(folder).glob(pattern))}


def bind(corpus):
    """Binds the files of the task `text`; a tenth of them is held out."""
    gin.bind_parameter("text_files.glob", str(corpus / "*.txt"))
    gin.bind_parameter("text_files.held_out", 0.1)
