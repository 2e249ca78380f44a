"""`primer demo`: trains four models of one size, compares them, draws their learning curves."""

import argparse
import json
import os

from primer.commands import options as shared
from primer.commands import report as report_command
from primer.common import checks, user_paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    parser.add_argument(
        "--output",
        type=user_paths.expand,
        default="demo",
        help="the output folder (default: demo)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        help="training steps; the learning rates were chosen for the default number",
    )
    shared.add_seed(parser, "of all four runs (default: 0)", default=0)


def run(options: argparse.Namespace) -> int:
    """Trains and evaluates the models one after the other, prints the comparison, returns 0."""
    from primer.common import console
    from primer.experiments import comparison, contenders, curves, demo, tables

    if options.steps is not None:
        checks.whole_number("--steps", options.steps)
    page = os.path.join(options.output, "report.html")
    demo.check_page(options.output, page)
    results = []
    for contender in contenders.CONTENDERS:
        console.say(f"--- {contender.label}\n")
        results.append(demo.run_contender(contender, options.output, options.steps, options.seed))
        console.say("")
    demo.add_differences(results)
    image = os.path.join(options.output, "learning_curves.png")
    numbers = os.path.join(options.output, "results.json")
    sentences = comparison.comparison_sentences(results)
    curves.draw_curves(results, results[0]["how"].split(":")[0], image)
    with open(numbers, "w", encoding="utf-8") as out:
        record = {"seed": options.seed, "seen": sentences, "models": results}
        out.write(json.dumps(record, indent=2))
    tables.print_tables(results, sentences)
    print(f"\nLearning curves: {image}\nNumbers: {numbers}")
    from primer.experiments.report import contents

    report = contents.build([result["model_dir"] for result in results])
    report_command.write(report, page)
    return 0
