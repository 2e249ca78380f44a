"""`primer data inspect`: statistics of a task's texts, and the rows that the model gets of them.

With --order: the share of each source in the first steps of training.
"""

import argparse
import dataclasses
import json
import os
from typing import TYPE_CHECKING, Any

from primer.commands.data import source_order, text_options
from primer.common import checks, console, user_paths

if TYPE_CHECKING:
    from primer.data.inspection import SplitStatistics

ROW = 256
EXAMPLES = 3
QUANTILES = {"shortest": 0, "10%": 0.1, "median": 0.5, "90%": 0.9, "longest": 1}
_SHOWN_CHARACTERS = 700  # Maximum length of a printed example.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    text_options.add_arguments(parser)
    text_options.add_vocabulary_argument(parser)
    parser.add_argument("--split", default="train", help="the split (train)")
    parser.add_argument(
        "--output", type=user_paths.expand, help="the folder for inspect.json and lengths.png"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace these two files")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help=f"rows to show ({EXAMPLES})")
    parser.add_argument("--length", type=int, help=f"tokens of a row (the run's, or {ROW})")
    source_order.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Prints tables and rows, and draws the lengths; returns the exit code."""
    for path in _outputs(options.output) if options.output else ():
        checks.output_file(path, "--output:", options.overwrite)
    with text_options.configured_task_and_vocabulary(options) as task:
        choose_objective(task)
        if options.order:
            return source_order.run(task, options, row_length(options))
        from primer.commands.data.read_progress import ReadProgress
        from primer.data import inspection

        with ReadProgress(f"reading {task}, split {options.split}") as progress:
            found = inspection.inspect_split(task, options.split, progress.add)
        rows = _rows(task, options)
        left_out = _left_out(found, row_length(options))
    _show(task, options.split, found, rows)
    console.say(left_out)
    if options.output:
        _write(options.output, task, options.split, found)
    return 0


def lm_objective_file() -> str:
    """Returns the path of t5's `objectives/lm.gin`: documents are joined and cut into rows."""
    import t5.models

    return os.path.join(os.path.dirname(t5.models.__file__), "gin", "objectives", "lm.gin")


def choose_objective(task: str) -> None:
    """Binds `lm_documents` for local texts, else t5's `lm`, unless gin binds an objective."""
    import gin
    import seqio

    from primer.data import preflight
    from primer.data.sources.document_source import DocumentSource
    from primer.gin_config import config_files
    from primer.gin_config.values import bound

    if bound("unsupervised.preprocessors") is not None:
        return
    tasks = seqio.get_subtasks(preflight.find_task(task))
    if all(isinstance(each.source, DocumentSource) for each in tasks):
        file = config_files.gin_file("objectives", "lm_documents")
        gin.parse_config_file(file, skip_unknown=True)
    else:
        gin.parse_config_file(lm_objective_file())


def row_length(options: argparse.Namespace) -> int:
    """Returns the tokens of a row: the option's, the run's, or ROW."""
    from primer.gin_config.values import configured

    lengths = configured("utils.run.sequence_length") or {}
    return options.length or lengths.get("targets", ROW)


def _left_out(found, length):
    """A line on what an epoch of training reads of the texts."""
    import numpy as np

    from primer.data.objectives import epoch_size

    sizes, numbers = (np.array(list(x), np.int64) for x in (found.lengths, found.lengths.values()))
    left_out = epoch_size.of_objective(length).left_out(sizes, numbers)
    return f"{left_out or 'An epoch of training reads every token of these texts once'}."


def _rows(task, options):
    """The first rows of the objective, of documents in order."""
    from primer.data import inspection

    if not options.examples:
        return []
    return inspection.first_rows(task, options.split, row_length(options), options.examples)


def statistics_as_json(task: str, split: str, found: "SplitStatistics") -> dict[str, Any]:
    """Returns the statistics of a split as plain data."""
    counts = found.counts.as_dict()
    return {
        "task": task,
        "split": split,
        "documents": counts.pop("examples"),
        **{name: counts[name] for name in ("bytes", "characters", "words", "tokens", "checksum")},
        "duplicates": found.duplicates,
        "duplicate_bytes": found.duplicate_bytes,
        "tokens_per_byte": _ratio(found.counts.tokens, found.counts.bytes),
        "tokens_per_word": _ratio(found.counts.tokens, found.counts.words),
        **{name: found.quantile(share) for name, share in QUANTILES.items()},
        "empty": found.notes.empty,
        "not_utf8": dict(found.notes.not_utf8),
        "changed_documents": found.changes.changed,
        "changed_bytes": found.changes.changed_bytes,
        "unknown_tokens": found.changes.unknown,
        "lengths": [
            {"from": low, "to": high, "documents": int(number)}
            for low, high, number in found.histogram()
            if number
        ],
    }


def _ratio(part, whole):
    return part / whole if whole else 0.0


def _show(task, split, found, rows):
    from primer.commands.data import tables

    data = statistics_as_json(task, split, found)
    totals = tables.make_table(f"{task}, {split} split", "", "in all", "per document")
    for name in ("documents", "bytes", "characters", "words", "tokens"):
        mean = "" if name == "documents" else f"{_ratio(data[name], data['documents']):,.1f}"
        totals.add_row(name, f"{data[name]:,}", mean)
    totals.add_row("duplicates", f"{data['duplicates']:,}", "")
    totals.add_row("bytes of duplicates", f"{data['duplicate_bytes']:,}", "")
    totals.add_row("tokens per byte", f"{data['tokens_per_byte']:.4f}", "")
    totals.add_row("tokens per word", f"{data['tokens_per_word']:.4f}", "")
    terminal = tables.make_terminal()
    terminal.print(totals)
    lengths = tables.make_table(
        "Tokens per document", "shortest", "10%", "median", "90%", "longest"
    )
    lengths.add_row(*(f"{data[name]:,}" for name in QUANTILES))
    terminal.print(lengths)
    for number, row in enumerate(rows):
        terminal.print(f"Row {number + 1}:")
        terminal.print("  " + _one_line(row) + "\n")
    tables.say_changes({split: dataclasses.asdict(found.changes)})
    tables.say_skipped(found.notes.not_utf8, found.notes.empty)


def _one_line(pieces):
    """A row as one line; of a long row the middle is left out."""
    text = "".join(pieces).replace("\n", "\u21b5")
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[: _SHOWN_CHARACTERS // 2]} [...] {text[-_SHOWN_CHARACTERS // 2 :]}"


def _outputs(folder):
    """The two files of --output."""
    return os.path.join(folder, "inspect.json"), os.path.join(folder, "lengths.png")


def _write(folder, task, split, found):
    from primer.commands.data import plot
    from primer.common import files

    path, image = _outputs(folder)
    content = json.dumps(statistics_as_json(task, split, found), indent=2)
    files.write_output(path, content.encode())
    plot.draw_lengths(image, found, f"{task}, {split} split")
    console.say(f"Written to {path} and {image}")
