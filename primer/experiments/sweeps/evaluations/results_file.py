"""`results.parquet`: the results of a sweep as one table, for DuckDB, pandas, spreadsheets.

The file is derived from the directories of the runs, and written whole each time: one that is
damaged or deleted is there again after the next command.
"""

import contextlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from primer.experiments.sweeps import whole_files
from primer.experiments.sweeps.evaluations import losses, table_rows
from primer.experiments.sweeps.expansion import SweepRun

NAME, LOCK = "results.parquet", ".results.lock"


def write(folder: str, runs: Sequence[SweepRun]) -> tuple[int | None, list[str]]:
    """Writes the results of runs, in place of an earlier file.

    Args:
        folder: the folder of all runs.
        runs: all runs of the sweep.

    Returns:
        The number of rows, and messages on what could not be read or written. Without a row nothing
        is written. None: the file cannot be written; the earlier one is as it was.
    """
    if not any(losses.read(run.model_dir) for run in runs):
        return 0, []
    try:
        with _locked(folder):
            # Read under the lock: the last of several commands writes what all have measured.
            rows, problems = table_rows.rows(runs)
            content = as_parquet(rows, table_rows.columns(runs))
            whole_files.write(os.path.join(folder, NAME), content)
            return len(rows), problems
    except (OSError, ValueError, TypeError) as error:  # The latter: a result of a wrong type.
        return None, [f"{os.path.join(folder, NAME)} cannot be written: {error}"]


def as_parquet(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> bytes:
    """Returns rows as the content of a Parquet file.

    Args:
        rows: {column: value}; None and a missing value are null.
        kinds: {column: kind}, as `table_rows.columns`.
    """
    import pyarrow  # Not at the top: its import takes a third of a second.
    import pyarrow.parquet

    types = {
        table_rows.TEXT: pyarrow.string(),
        table_rows.WHOLE: pyarrow.int64(),
        table_rows.NUMBER: pyarrow.float64(),
        table_rows.BOOLEAN: pyarrow.bool_(),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in kinds.items()])
    arrays = [
        pyarrow.array([row.get(field.name) for row in rows], field.type, from_pandas=True)
        for field in schema
    ]
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), out)
    return out.getvalue()


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Holds the lock of a folder's results, where its file system has locks."""
    import fcntl  # Not at the top: some systems that Python runs on do not have it.

    with open(os.path.join(folder, LOCK), "a") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield  # Closing the file ends the lock.
