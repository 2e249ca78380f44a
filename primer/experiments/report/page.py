"""The page of a report: one HTML file with its style and its pictures in it, and no script."""

import base64
import html
from collections.abc import Mapping, Sequence

from primer import __version__
from primer.experiments.report import figures, finals, seeds, style
from primer.experiments.report.analyses.part import Part
from primer.experiments.report.contents import Report
from primer.experiments.report.sections import Section
from primer.experiments.report.speedups import speedup_table

_CAPTIONS = {
    "loss_by_steps": "Loss against training steps",
    "loss_by_tokens": "Loss against training tokens",
    "loss_by_flops": "Loss against training FLOPs",
    "loss_by_seconds": "Loss against wall time",
    "accuracy_by_steps": "Accuracy against training steps",
}
_DEFINITIONS = (
    "Loss: of the last evaluated checkpoint of each run, its mean over seeds. Standard error: "
    "sample standard deviation over seeds / sqrt(seeds).",
    "Difference: the mean over seeds that both have of (loss - loss of the baseline); seeds pair "
    "the order of the data. Negative is better. The 95% interval and p are those of the paired t "
    "test.",
    "Adjusted p: by Holm's method over all comparisons of this page. A group is called better or "
    f"worse where it is at most {seeds.LEVEL:g}; if no group differed from its baseline, a page "
    "would call one so in at most 5% of cases. Otherwise the seeds do not show a difference, which "
    "does not mean that there is none.",
    "Detectable: the true difference that this many seeds with this spread would show in 80% of "
    "cases, in one comparison at a level of 5%.",
    "Speedup factor: training cost of the baseline / cost at which a group first has the "
    "baseline's final loss, on means over the common seeds; 2 means half the compute. Its "
    "interval is a bootstrap over seeds with Student's t. Only final losses count: those of a "
    "schedule without a decay, at the ends of WSD-S's decays, or of runs of several lengths.",
    "Intervals are over seeds, not over texts: they hold for this text. They assume differences "
    "that are normally distributed over seeds.",
    "Accuracy, where it was counted (primer eval --accuracy): the share of the scored tokens that "
    "are the model's first choice, its mean over seeds.",
    "Perplexity per token is exp(mean nats per token). Training FLOPs are counted on the graph "
    "(docs/costs.md). Tokens count padding.",
    "Figures: thin lines are runs, thick ones means over seeds at the steps that all runs of a "
    "group have; the untrained model (step 0) is left out. Wall time has the building of the "
    "graph, except in the runs of primer demo, and depends on the machine and on what else ran "
    "there.",
)


def render(report: Report, pictures: Sequence[Mapping[str, bytes]], folder: str) -> str:
    """Returns the page as HTML.

    Args:
        report: its contents.
        pictures: {name: PNG} of each section.
        folder: the name of the folder with the same as files.
    """
    title = _title(report)
    parts = [f"<h1>{_text(title)}</h1>"]
    for section, speedups, own, more in zip(
        report.sections, report.speedups, pictures, report.parts, strict=True
    ):
        where = f" ({section.title})" if len(report.sections) > 1 else ""
        parts += _section(section, speedups, own, where)
        parts += [text for one in more for text in _part(one, where)]
    for section, more in report.joined:
        parts += [text for one in more for text in _part(one, f" ({section.title})")]
    parts += _settings(report)
    every = [*report.parts, *(more for _, more in report.joined)]
    definitions = [text for own in every for one in own for text in one.definitions]
    parts += [
        "<h2>What the numbers mean</h2>",
        _list([*_DEFINITIONS, *dict.fromkeys(definitions)]),
    ]
    if report.remarks:
        parts += ["<h2>Remarks</h2>", _list(report.remarks)]
    parts.append(
        f'<p class="note">The folder {_text(folder)} has all of this as PNG, CSV and JSON. Written '
        f"by primer report {__version__}.</p>"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{style.CSS}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _title(report: Report) -> str:
    contenders = [c for section in report.sections for c in section.contenders]
    names = {contender.name for contender in contenders}
    runs = {curve.run.model_dir for contender in contenders for curve in contender.curves}
    return f"{_count(len(names), 'configuration')} compared over {_count(len(runs), 'run')}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _section(
    section: Section, speedups: Sequence[Mapping], pictures: Mapping[str, bytes], where: str
) -> list[str]:
    rows = finals.rows(section)
    parts = [f"<h2>{_text(section.title)}</h2>"]
    if section.reason:
        parts.append(f"<p>Not compared with the first table: {_text(section.reason)}.</p>")
    parts.append(_list([finals.sentence(r, section) for r in rows if r["result"] != "baseline"]))
    texts = [finals.texts(row) for row in rows]
    parts += [
        _table(finals.columns(section), texts, "result"),
        f'<p class="note">{_text(section.how)}</p>',
    ]
    parts += [_list(finals.remarks(section, rows)), *_speedups(section, speedups)]
    intervals = " with their 95% intervals" if finals.has_intervals(section) else ""
    captions = {**_CAPTIONS, figures.DIFFERENCES: f"Final differences to the baseline{intervals}"}
    return [*parts, _figures([(captions[name] + where, png) for name, png in pictures.items()])]


def _figures(pictures: Sequence[tuple[str, bytes]]) -> str:
    """Returns figures side by side where there is room, from (caption, PNG)."""
    drawn = "".join(_figure(caption, png) for caption, png in pictures)
    return f'<div class="figures">{drawn}</div>' if pictures else ""


def _part(part: Part, where: str) -> list[str]:
    """Returns a part of a section; `where` names the section if there are several."""
    return [
        f"<h3>{_text(part.title + where)}</h3>",
        *(_table(table.heads, table.rows, "remarks") for table in part.tables),
        _list(part.sentences),
        _figures([(caption + where, png) for caption, png in part.figures.values()]),
    ]


def _speedups(section: Section, found: Sequence[Mapping]) -> list[str]:
    if not found:
        return []
    known = [speedup_table.texts(row) for row in found if not row["remark"]]
    parts = [f"<h3>Compute to reach the final loss of {_text(section.baseline)}</h3>"]
    if known:
        parts.append(_table(speedup_table.HEADS, known, "cost"))
    return [*parts, _list(speedup_table.remarks(found))]


def _table(heads: Mapping[str, str], rows: Sequence[Mapping[str, str]], words: str) -> str:
    """Returns a table.

    Args:
        heads: {key: head} of its columns.
        rows: {key: text} of each of its rows.
        words: the key of the column, besides the first, that has words.
    """

    def line(tag: str, texts: Mapping[str, str]) -> str:
        cells = (
            f"<{tag}{_words(texts[key]) if key == words else ''}>{_text(texts[key])}</{tag}>"
            for key in heads
        )
        return f"<tr>{''.join(cells)}</tr>"

    return _box([line("th", heads), *(line("td", row) for row in rows)])


def _words(text: str) -> str:
    """Returns the classes of a cell with words; what is better or worse has a color."""
    return f' class="words {text}"' if text in (seeds.BETTER, seeds.WORSE) else ' class="words"'


def _box(lines: Sequence[str]) -> str:
    """Returns a table that scrolls inside its own box where it is wider than the page."""
    return (
        f'<div class="box" tabindex="0"><table>{"".join(lines)}</table></div>'
        '<p class="note sideways">The table scrolls sideways.</p>'
    )


def _figure(caption: str, png: bytes) -> str:
    data = base64.b64encode(png).decode()
    return (
        f'<figure><img alt="{_text(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


def _settings(report: Report) -> list[str]:
    """Returns the table of the settings in which any two groups differ."""
    if not report.settings:
        return []
    groups = list(next(iter(report.settings.values())))
    heads = "".join(f'<th class="words">{_text(group)}</th>' for group in groups)
    lines = [f"<tr><th>setting</th>{heads}</tr>"]
    for name, values in report.settings.items():
        cells = "".join(f'<td class="value">{_text(values[g])}</td>' for g in groups)
        lines.append(f"<tr><td>{_text(name)}</td>{cells}</tr>")
    return [
        "<h2>Settings that differ</h2>",
        '<p class="note">Of each configuration\'s config.gin, without seeds and directories; '
        "settings that all have alike are left out.</p>",
        _box(lines),
    ]


def _list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_text(one)}</li>' for one in sentences)}</ul>" if sentences else ""


def _text(text: str) -> str:
    return html.escape(text, quote=True)
