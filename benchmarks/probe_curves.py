"""What four architectures recall: accuracy on the probes, by steps and by the number of pairs.

    .venv/bin/python benchmarks/probe_curves.py [--workers 2] [--only mqar]

Runs the sweeps of `benchmarks/probes/` (docs/probes.md), of which finished runs are not repeated,
and writes a dated markdown, JSON and PNG file to `benchmarks/results/`. The accuracy is the share
of the answers of the validation split that are the model's first choice.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SWEEPS = ROOT / "benchmarks" / "probes"
sys.path.insert(0, str(ROOT))

from primer.experiments.report import directories, figures, groups, runs  # noqa: E402

PROBES = ("mqar", "copying", "induction")


def train(probe: str, workers: int) -> None:
    """Runs the sweep of a probe; what is done is not repeated."""
    words = ["sweep", "run", str(SWEEPS / f"{probe}.yaml"), "--workers", str(workers)]
    if subprocess.run([sys.executable, "-m", "primer", *words], cwd=ROOT, check=False).returncode:
        raise SystemExit(f"the sweep of {probe} did not end; the same command goes on")


def read(probe: str) -> list[dict[str, Any]]:
    """Returns the groups of a sweep: architecture, pairs, and of each seed its results."""
    _, model_dirs = directories.find([str(SWEEPS / f"{probe}.yaml")])
    found = []
    for group in groups.group([runs.read(model_dir) for model_dir in model_dirs]):
        values = dict(part.split("=") for part in group.runs[0].name.split(","))
        of_seeds = {
            str(run.seed): [
                [point.step, point.row["accuracy"], point.row["nats_per_token"]]
                for point in run.evaluations[0]
            ]
            for run in group.runs
        }
        row = group.runs[0].evaluations[0][-1].row
        found.append(
            {
                "probe": probe,
                "architecture": values["architecture"],
                "pairs": int(values.get("pairs", 0)),
                "parameters": row["parameters"],
                "answers": row["tokens"],
                "seconds": [round(run.evaluations[0][-1].seconds) for run in group.runs],
                "steps_accuracy_nats": of_seeds,
            }
        )
    return found


def finals(group: dict[str, Any]) -> list[float]:
    """Returns the last accuracy of each seed."""
    return [points[-1][1] for points in group["steps_accuracy_nats"].values()]


def markdown(found: list[dict[str, Any]], picture: str) -> str:
    """Returns the page of results."""
    date = datetime.date.today().isoformat()
    lines = [
        f"# Probes, {date}",
        "",
        "Accuracy over the answers of the validation split after the last step, by seed "
        f"(benchmarks/probes/*.yaml, docs/probes.md), on {os.cpu_count()} processors. Seconds are "
        "from the start of a run to its last checkpoint, with imports and validations, and depend "
        "on what else the machine did.",
        "",
        "| probe | pairs | architecture | parameters | answers | accuracy by seed | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for group in found:
        accuracies = ", ".join(f"{value:.1%}" for value in finals(group))
        seconds = ", ".join(map(str, group["seconds"]))
        lines.append(
            f"| {group['probe']} | {group['pairs'] or '-'} | {group['architecture']} | "
            f"{group['parameters']:,} | {group['answers']:,} | {accuracies} | {seconds} |"
        )
    return "\n".join([*lines, "", f"![Accuracy by steps and by pairs]({picture})", ""])


def draw(found: list[dict[str, Any]], path: pathlib.Path) -> None:
    """Draws accuracy by steps for each probe and number of pairs, and by the number of pairs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    names = list(dict.fromkeys(group["architecture"] for group in found))
    styles = {name: figures.style(number) for number, name in enumerate(names)}
    settings = list(dict.fromkeys((group["probe"], group["pairs"]) for group in found))
    of_pairs = [group for group in found if group["pairs"]]
    panels = len(settings) + bool(of_pairs)
    rows = -(-panels // 3)
    figure, axes = pyplot.subplots(
        rows, 3, figsize=(10, 3 * rows), layout="constrained", sharey=True, squeeze=False
    )
    free = iter(axes.flat)
    for (probe, pairs), panel in zip(settings, free):
        panel.set_title(f"{probe}, {pairs} pairs" if pairs else probe, fontsize=10)
        panel.set_xlabel("training steps")
        for group in found:
            if (group["probe"], group["pairs"]) == (probe, pairs):
                _curves(panel, group, styles[group["architecture"]])
    if of_pairs:
        _by_pairs(next(free), of_pairs, styles)
    for panel in free:
        panel.set_axis_off()
    for panel in axes.flat:
        panel.grid(alpha=0.3, linewidth=0.5)
        panel.set_ylim(-0.02, 1.02)
        panel.yaxis.set_major_formatter(ticker.PercentFormatter(1.0))
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.supylabel("accuracy of the answers", fontsize=10)
    figure.legend(handles, labels, loc="outside lower center", ncols=len(names), frameon=False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _curves(panel: Any, group: dict[str, Any], style: dict[str, Any]) -> None:
    """Draws each seed thin and their mean thick."""
    of_seeds = [
        [(step, accuracy) for step, accuracy, _ in points if step]
        for points in group["steps_accuracy_nats"].values()
    ]
    for points in of_seeds:
        panel.plot(*zip(*points), color=style["color"], linewidth=0.6, alpha=0.45)
    means = [
        (points[0][0], statistics.mean(accuracy for _, accuracy in points))
        for points in zip(*of_seeds)
    ]
    panel.plot(
        *zip(*means), label=group["architecture"], linewidth=1.6, markersize=4, markevery=2, **style
    )


def _by_pairs(panel: Any, found: list[dict[str, Any]], styles: dict[str, dict[str, Any]]) -> None:
    panel.set_title("mqar, last step", fontsize=10)
    panel.set_xlabel("pairs of key and value")
    for name, style in styles.items():
        own = [group for group in found if group["architecture"] == name]
        for group in own:
            values = finals(group)
            panel.plot([group["pairs"]] * len(values), values, ".", color=style["color"], alpha=0.5)
        means = [(group["pairs"], statistics.mean(finals(group))) for group in own]
        panel.plot(*zip(*means), linewidth=1.6, markersize=5, **style)
    panel.set_xscale("log", base=2)
    panel.set_xticks(sorted({group["pairs"] for group in found}))
    panel.xaxis.set_major_formatter("{x:g}")


def main() -> None:
    """Runs what is missing, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=PROBES, choices=PROBES)
    options = parser.parse_args()
    for probe in options.only:
        train(probe, options.workers)
    found = [group for probe in options.only for group in read(probe)]
    stem = RESULTS / f"probes_{datetime.date.today().isoformat()}"
    stem.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    stem.with_suffix(".md").write_text(markdown(found, f"{stem.name}.png"))
    draw(found, stem.with_suffix(".png"))
    print(stem.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
