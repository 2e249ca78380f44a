"""Writes shards in an Apache Beam pipeline, on one or several machines.

The pipeline maps the shards' indexes through the function of `primer.data.prepared.pool` that
writes a shard, so that the bytes are the same. Workers read the input and write the output
themselves: all of them need access to both, and Primer must be installed on them (on Dataflow with
--sdk_container_image or --setup_file).
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from primer.errors import RunError, UsageError

if TYPE_CHECKING:
    from primer.data.prepared.plan import Plan

_PRIMER_ERROR = re.compile(
    r"primer\.errors\.(UsageError|RunError): (.*?)(?: \[while running|\\n|\n|$)"
)

# The plans that this worker process is initialized for. Beam pickles the function that it maps and
# calls it in worker processes, so that only a module keeps state between two calls.
_initialized: list[dict[str, Any]] = []


def write_shards(
    plan: "Plan",
    indexes: Iterable[int],
    options: list[str],
    initialize: Callable[[dict[str, Any]], object],
) -> None:
    """Writes the shards with these indexes.

    Args:
        plan: the data set.
        indexes: the indexes of the shards that are not yet written.
        options: the pipeline's options, such as "--runner=DirectRunner".
        initialize: initializes a new process; takes the plan's fields.

    Raises:
        UsageError, RunError: a shard failed; finished shards are kept.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UsageError(
            f"--pipeline_options needs apache-beam ({error}); pip install 'primer[beam]', or omit "
            "the option: --workers uses the processors of this machine"
        ) from error
    indexes = list(indexes)
    if not indexes:
        return
    write = functools.partial(_write_in_worker, dataclasses.asdict(plan), initialize)
    try:
        with apache_beam.Pipeline(options=PipelineOptions(options)) as pipeline:
            numbers = pipeline | "shards" >> apache_beam.Create(indexes)
            _ = numbers | apache_beam.Reshuffle() | "write" >> apache_beam.Map(write)
    except Exception as error:  # Beam's error has the worker's in its text.
        raise _failure(plan, error) from error


def _write_in_worker(values, initialize, index):
    """Writes one shard, in a worker process."""
    if values not in _initialized:
        initialize(values)
        _initialized.append(values)
    from primer.data.prepared import plan, pool

    pool.write_shard(plan.Plan(**values), index, lambda size: None)
    return index


def _failure(plan, error) -> Exception:
    """Returns the worker's UsageError or RunError, or a RunError about the pipeline."""
    if isinstance(error, (UsageError, RunError)):
        return error
    match = _PRIMER_ERROR.search(str(error))
    if match:
        kind = UsageError if match[1] == "UsageError" else RunError
        return kind(match[2])
    message = (str(error).strip() or type(error).__name__).splitlines()[-1]
    return RunError(
        f"the Beam pipeline that writes {plan.output} failed ({message[:300]}); finished shards "
        "are kept: run the same command again"
    )
