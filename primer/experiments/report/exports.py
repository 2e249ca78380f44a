"""The files of a report: the page, and its numbers and pictures as CSV, JSON and PNG."""

import contextlib
import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from primer import __version__
from primer.common import files
from primer.errors import UsageError
from primer.experiments.report import figures, finals, page
from primer.experiments.report.analyses.part import Part
from primer.experiments.report.contents import Report
from primer.experiments.report.sections import Section

_RUN_NUMBERS = (
    *("nats_per_token", "accuracy", "perplexity_per_token", "bits_per_byte"),
    "perplexity_per_word",
)


def files_of(report: Report, output: str) -> dict[str, bytes]:
    """Returns {path: content} of all files of a report, the page last.

    Args:
        report: its contents.
        output: the path of the page; the others are in the folder `<name>_files` beside it.
    """
    folder = f"{os.path.splitext(output)[0]}_files"
    pictures = [figures.draw(section) for section in report.sections]
    of_parts = [_pictures(own) for own in report.parts]
    found = {
        "finals.csv": _csv(
            {"section": section.title, "unit": section.unit, **row}
            for section in report.sections
            for row in finals.rows(section)
        ),
        "checkpoints.csv": _csv(row for s in report.sections for row in _checkpoints(s, folder)),
        "speedups.csv": _csv(
            {"section": section.title, **row}
            for section, speedups in zip(report.sections, report.speedups, strict=True)
            for row in speedups
        ),
        **_files_of_parts(report),
        "settings.csv": _csv({"setting": k, **v} for k, v in report.settings.items()),
        "report.json": _json(report, folder),
    }
    for number, (own, more) in enumerate(zip(pictures, of_parts, strict=True), 1):
        suffix = f"_{number}" if number > 1 else ""
        found |= {f"{name}{suffix}.png": png for name, png in (own | more).items()}
    for number, (_, joined) in enumerate(report.joined, 1):
        suffix = f"_{number}" if number > 1 else ""
        found |= {f"{name}{suffix}.png": png for name, png in _pictures(joined).items()}
    text = page.render(report, pictures, os.path.basename(folder))
    return {os.path.join(folder, name): content for name, content in found.items()} | {
        output: text.encode()
    }


def _pictures(parts: Sequence[Part]) -> dict[str, bytes]:
    return {name: png for part in parts for name, (_, png) in part.figures.items()}


def _files_of_parts(report: Report) -> dict[str, bytes]:
    """Returns {name: CSV} of the parts of all sections."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    of_sections = zip(report.sections, report.parts, strict=True)
    for section, parts in [*of_sections, *report.joined]:
        for one in parts:
            for name, own in one.files.items():
                rows.setdefault(name, []).extend({"section": section.title, **r} for r in own)
    return {f"{name}.csv": _csv(own) for name, own in rows.items()}


def _checkpoints(section: Section, folder: str) -> Iterable[dict[str, Any]]:
    """Yields the numbers of each evaluated checkpoint of each run, its directory from `folder`."""
    for contender in section.contenders:
        for curve in [*contender.curves, *contender.stopped]:
            for point in curve.points:
                yield {
                    "section": section.title,
                    "group": contender.name,
                    "seed": curve.run.seed,
                    "state": curve.run.state,
                    "hopeless_step": curve.run.hopeless or math.nan,
                    "model_dir": os.path.relpath(curve.run.model_dir, folder),
                    "step": point.step,
                    "tokens": point.tokens,
                    "flops": point.flops,
                    "seconds": point.seconds,
                    **{key: point.row.get(key, math.nan) for key in _RUN_NUMBERS},
                    "evaluated_tokens": point.row.get("tokens", math.nan),
                    "evaluated_bytes": point.row.get("bytes", math.nan),
                    "protocol": point.row["protocol"],
                    "text_checksum": point.row["text_checksum"],
                }


def _csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Returns rows of the same keys as CSV; nan is empty."""
    kept = [{key: "" if _is_nan(value) else value for key, value in row.items()} for row in rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(kept[0]) if kept else ["(none)"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
    return out.getvalue().encode()


def _json(report: Report, folder: str) -> bytes:
    """Returns all numbers as JSON; what is not finite is null."""
    sections = [
        {
            "title": section.title,
            "unit": section.unit,
            "how": section.how,
            "baseline": section.baseline,
            "reason": section.reason,
            "left_out": list(section.left_out),
            "finals": [_nulls(row) for row in finals.rows(section)],
            "speedups": [_nulls(row) for row in speedups],
            **_numbers(parts),
            "checkpoints": [_nulls(row) for row in _checkpoints(section, folder)],
        }
        for section, speedups, parts in zip(
            report.sections, report.speedups, report.parts, strict=True
        )
    ]
    content = {
        "primer": __version__,
        "sections": sections,
        "joined": [{"title": s.title, **_numbers(parts)} for s, parts in report.joined],
        "settings": report.settings,
        "remarks": list(report.remarks),
    }
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _numbers(parts: Sequence[Part]) -> dict[str, list[dict[str, Any]]]:
    """Returns {name: rows} of parts."""
    return {k: [_nulls(row) for row in rows] for one in parts for k, rows in one.files.items()}


def _nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def write(contents: Mapping[str, bytes]) -> None:
    """Writes files; none of them takes its name before all of them are on the disk.

    Args:
        contents: {path: content}.

    Raises:
        UsageError: a file cannot be written, as on a full disk; earlier ones are as they were.
    """
    unfinished: dict[str, str] = {}
    path, state = "", "nothing was replaced"
    try:
        for path, content in contents.items():
            unfinished[path] = _write_beside(path, content)
        state = "the report is not complete: write it again"
        for path, temporary in unfinished.items():
            os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{path} cannot be written: {reason}; {state}") from error
    finally:
        for path in contents:
            with contextlib.suppress(OSError):
                os.remove(files.unfinished_path(path))


def _write_beside(path: str, content: bytes) -> str:
    """Writes a file under a temporary name, which it returns; raises OSError."""
    temporary = files.unfinished_path(path)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(temporary, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    return temporary
