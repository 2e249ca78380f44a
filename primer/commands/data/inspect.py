"""`primer data inspect`: what a task's texts are like, and what the model will see of them."""

import json
import os

from primer.commands.data import prepare

ROW = 256
EXAMPLES = 3
QUANTILES = {"shortest": 0, "10%": 0.1, "median": 0.5, "90%": 0.9, "longest": 1}
_SHOWN = 700  # Characters of an example.


def add_arguments(parser):
    """Adds the arguments of the command to its parser."""
    prepare.add_input_arguments(parser)
    parser.add_argument("--split", default="train", help="the split (train)")
    parser.add_argument("--output", help="a folder that gets inspect.json and lengths.png")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help=f"rows to show ({EXAMPLES})")
    parser.add_argument("--length", type=int, help=f"tokens of a row (the run's, or {ROW})")


def run(options) -> int:
    """Prints tables and rows; draws the lengths."""
    with prepare.configured(options) as task:
        from primer.commands.data.read_progress import ReadProgress
        from primer.data import inspection

        with ReadProgress(f"reading {task}, split {options.split}") as shown:
            found = inspection.inspect(task, options.split, shown.add)
        rows = _rows(task, options)
    _show(task, options.split, found, rows)
    if options.output:
        _write(options.output, task, options.split, found)
    return 0


def _rows(task, options):
    """Rows as the objective makes them; t5's `lm` where no gin file names another."""
    import gin

    from primer.data import inspection
    from primer.gin_config.values import bound, configured

    if bound("unsupervised.preprocessors") is None:
        gin.parse_config_file(prepare.objective_file())
    lengths = configured("utils.run.sequence_length") or {}
    length = options.length or lengths.get("targets", ROW)
    return (
        inspection.rows(task, options.split, length, options.examples) if options.examples else []
    )


def as_data(task, split, found) -> dict:
    """What was found as JSON has it."""
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
    from primer.common import console as logs
    from primer.data.sources import text_checks

    data = as_data(task, split, found)
    shown = tables.make_table(f"{task}, {split} split", "", "in all", "per document")
    for name in ("documents", "bytes", "characters", "words", "tokens"):
        mean = "" if name == "documents" else f"{_ratio(data[name], data['documents']):,.1f}"
        shown.add_row(name, f"{data[name]:,}", mean)
    shown.add_row("duplicates", f"{data['duplicates']:,}", "")
    shown.add_row("bytes of duplicates", f"{data['duplicate_bytes']:,}", "")
    shown.add_row("tokens per byte", f"{data['tokens_per_byte']:.4f}", "")
    shown.add_row("tokens per word", f"{data['tokens_per_word']:.4f}", "")
    console = tables.console()
    console.print(shown)
    lengths = tables.make_table(
        "Tokens per document", "shortest", "10%", "median", "90%", "longest"
    )
    lengths.add_row(*(f"{data[name]:,}" for name in QUANTILES))
    console.print(lengths)
    for number, row in enumerate(rows):
        console.print(f"Row {number + 1}:")
        console.print("  " + _line(row) + "\n")
    if found.notes.not_utf8:
        logs.say(f"Left out {text_checks.describe_skipped(found.notes.not_utf8)}")
    if found.notes.empty:
        logs.say(f"Left out {found.notes.empty:,} empty documents")


def _line(pieces):
    """A row in one line; the middle of a long one is left out."""
    text = "".join(pieces).replace("\n", "\u21b5")
    if len(text) <= _SHOWN:
        return text
    return f"{text[: _SHOWN // 2]} [...] {text[-_SHOWN // 2 :]}"


def _write(folder, task, split, found):
    from primer.commands.data import plot
    from primer.common import console as logs

    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "inspect.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(as_data(task, split, found), file, indent=2)
    image = os.path.join(folder, "lengths.png")
    plot.draw_lengths(image, found, f"{task}, {split} split")
    logs.say(f"Written to {path} and {image}")
