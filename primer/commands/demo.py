"""`primer demo`: trains three models of one size, compares them, draws their learning curves."""

import json
import os

from primer.common import checks


def add_arguments(parser):
    """Adds the arguments of the command to its parser."""
    parser.add_argument("--output", default="demo", help="where everything goes (default: demo)")
    parser.add_argument(
        "--steps",
        type=int,
        help="train for so many steps instead; the learning rates were tried for the default's",
    )
    parser.add_argument("--seed", type=int, default=0, help="of all three runs (default: 0)")


def run(options) -> int:
    """Trains and evaluates the three, one after the other; prints what was seen."""
    from primer.common import console
    from primer.experiments import comparison, contenders, curves, demo, tables

    if options.steps is not None:
        checks.whole_number("--steps", options.steps)
    results = []
    for contender in contenders.CONTENDERS:
        console.say(f"--- {contender.label}\n")
        results.append(demo.run_contender(contender, options.output, options.steps, options.seed))
        console.say("")
    picture = os.path.join(options.output, "learning_curves.png")
    numbers = os.path.join(options.output, "results.json")
    seen = comparison.comparison_sentences(results)
    curves.draw_curves(results, results[0]["how"].split(":")[0], picture)
    with open(numbers, "w", encoding="utf-8") as out:
        out.write(json.dumps({"seed": options.seed, "seen": seen, "models": results}, indent=2))
    tables.print_tables(results, seen)
    print(f"\nLearning curves: {picture}\nNumbers: {numbers}")
    return 0
