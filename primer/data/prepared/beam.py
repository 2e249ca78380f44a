"""Shards written by an Apache Beam pipeline: more machines than one.

The pipeline is the list of the shards' numbers and the function that writes one, the same that
`primer.data.prepared.pool` calls, so that the bytes are the same. Workers read the input and write
the output themselves: both must be where all of them reach them, and Primer must be installed there
(on Dataflow with --sdk_container_image or --setup_file).
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable

from primer.errors import RunError, UsageError

_OURS = re.compile(r"primer\.errors\.(UsageError|RunError): (.*?)(?: \[while running|\\n|\n|$)")

_started = []  # In a worker: the plans that it is ready for.


def write_shards(plan, indexes: Iterable[int], options: list[str], start: Callable) -> None:
    """Writes the shards of these numbers.

    Args:
        plan: a `primer.data.prepared.plan.Plan`.
        indexes: the numbers of the shards that are not yet there.
        options: of the pipeline, as "--runner=DirectRunner".
        start: (the plan's fields) -> None; makes a new process ready.

    Raises:
        UsageError, RunError: a shard failed; finished ones are kept.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UsageError(
            f"--pipeline_options needs apache-beam ({error}); pip install 'primer[beam]', or leave "
            "it out: --workers uses the processors of this machine"
        ) from error
    indexes = list(indexes)
    if not indexes:
        return
    work = functools.partial(_write, dataclasses.asdict(plan), start)
    try:
        with apache_beam.Pipeline(options=PipelineOptions(options)) as pipeline:
            numbers = pipeline | "shards" >> apache_beam.Create(indexes)
            _ = numbers | apache_beam.Reshuffle() | "write" >> apache_beam.Map(work)
    except Exception as error:  # Beam raises what the worker raised, within a text of its own.
        raise _failure(plan, error) from error


def _write(values, start, index):
    """In a worker: writes one shard."""
    if values not in _started:
        start(values)
        _started.append(values)
    from primer.data.prepared import plan, pool

    pool.write_shard(plan.Plan(**values), index, lambda size: None)
    return index


def _failure(plan, error):
    if isinstance(error, (UsageError, RunError)):
        return error
    found = _OURS.search(str(error))
    if found:
        kind = UsageError if found[1] == "UsageError" else RunError
        return kind(found[2])
    text = (str(error).strip() or type(error).__name__).splitlines()[-1]
    return RunError(
        f"the Beam pipeline that writes {plan.output} failed ({text[:300]}); finished shards are "
        "kept: run the same command again"
    )
