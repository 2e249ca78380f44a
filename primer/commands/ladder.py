"""`primer ladder`: changes of a model at several sizes, whose rates, batches and steps follow."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from primer.commands import options as shared
from primer.commands import sweep as sweep_command
from primer.common import checks, console, user_paths
from primer.errors import UsageError
from primer.experiments.ladders import (
    bases,
    changes,
    counting,
    ladder_file,
    number_lists,
    rules,
    rungs,
    sizes,
    tuning,
)
from primer.experiments.ladders.rungs import Request, Rung
from primer.experiments.sweeps import expansion, run_settings, sweep_file
from primer.experiments.sweeps.workers.local import shares
from primer.gin_config import config_files

TOKENS_PER_PARAMETER = 20.0
EVALUATIONS = 4
_SETTINGS = ("task", "data", "gin_file", "gin_param", "module_import", "t5_tfds_data_dir")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    parser.add_argument(
        "--base",
        type=user_paths.expand,
        required=True,
        help="the architecture that is changed: "
        + ", ".join(config_files.names_of_kind("architectures"))
        + "; or a gin file",
    )
    parser.add_argument(
        "--activation",
        type=user_paths.expand,
        help="its activation (default: the one that its file names)",
    )
    parser.add_argument(
        "--change",
        action="append",
        default=[],
        help='a gin binding, as "attention = @MDHA", which is compared with the base; may be '
        "repeated, for several changes of the base",
    )
    parser.add_argument(
        "--sizes",
        required=True,
        help="numbers of parameters without the embedding, as 3M,10M,30M",
    )
    parser.add_argument(
        "--tokens_per_parameter",
        type=float,
        default=TOKENS_PER_PARAMETER,
        help=f"tokens of training for each parameter (default {TOKENS_PER_PARAMETER:g})",
    )
    _add_rule(parser)
    parser.add_argument("--task", type=user_paths.expand, help="as of primer train")
    parser.add_argument("--data", type=user_paths.expand, help="as of primer train")
    shared.add_optimization(parser)
    shared.add_gin_file(parser)
    shared.add_gin_param(parser)
    shared.add_module_import(parser)
    shared.add_tfds_data_dir(parser)
    parser.add_argument("--seeds", default="1,2,3", help="of each model (default 1,2,3)")
    parser.add_argument(
        "--evaluations",
        type=int,
        default=EVALUATIONS,
        help=f"of the validation split in each run, the last at its end (default {EVALUATIONS})",
    )
    parser.add_argument("--workers", type=int, help="as of primer sweep run")
    parser.add_argument(
        "--output", type=user_paths.expand, help="the folder of ladder.yaml and of the runs"
    )
    parser.add_argument(
        "--dry_run", action="store_true", help="print all numbers; write and train nothing"
    )


def _add_rule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rule",
        choices=rules.NAMES,
        default=rules.OLMO,
        help="how rate and batch follow from the size; sweep: as olmo, with the rate that is best "
        f"at the smallest size (default {rules.OLMO})",
    )
    parser.add_argument(
        "--rates",
        help="with --rule sweep: the rates to try, as 1e-3,3e-3 (default: five around olmo's)",
    )


def run(options: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    request = request_of(options)
    commands = rungs.commands(request)
    if not options.dry_run and options.output is None:
        raise UsageError("--output: name the folder of the ladder, or add --dry_run")
    shares(checks.whole_number("--workers", 1 if options.workers is None else options.workers))
    console.say("Counting the parameters of the models")
    found = counting.counts(list(commands.values()), options.module_import)
    labels = {size.depth: f"--sizes {size.label}, " for size in request.sizes}
    counts = {}
    for (depth, change), count in zip(commands, found):
        if isinstance(count, str):
            raise UsageError(f"{labels.get(depth, '')}depth {depth}, {change}: {count}")
        counts[depth, change] = count
    built = rungs.build(request, counts)
    if options.dry_run:
        _print(request, built, is_tuned=False)
        return 0
    return train(request, built, os.path.abspath(options.output), options.workers)


def train(
    request: Request,
    built: Sequence[Rung],
    output: str,
    workers: int | None = None,
    program: Sequence[str] | None = None,
) -> int:
    """Writes the sweeps of a ladder, trains them, and returns the exit code of the last one.

    Args:
        request: the ladder.
        built: its rungs.
        output: the absolute path of its folder.
        workers: how many runs are trained at a time.
        program: the words that begin the engine; None for `t5_mesh_transformer`.

    Raises:
        UsageError: the folder has another ladder.
        RunError: a file cannot be written, or no learning rate is good.
    """
    name = os.path.basename(output)
    is_tuned = request.rule == rules.SWEEP
    if is_tuned:
        path = os.path.join(output, ladder_file.TUNING)
        rates = rungs.tried_rates(request, built)
        ladder_file.write(path, ladder_file.of_tuning(request, built, rates, name))
        runs, code = _train(path, workers, program)
        if code > 1:
            return code
        found = tuning.tuned(runs, request.changes)
        for label, tuned in found.items():
            console.say(tuned.sentence(label))
        built = rungs.with_rates(built, {label: tuned.best for label, tuned in found.items()})
    _print(request, built, is_tuned)
    path = os.path.join(output, ladder_file.NAME)
    command = shlex.join(["primer", *sys.argv[1:]])
    ladder_file.write(path, ladder_file.of_ladder(request, built, name, command))
    console.say(f"The same runs: primer sweep run {shlex.quote(path)}\n")
    return _train(path, workers, program)[1]


def _train(
    path: str, workers: int | None, program: Sequence[str] | None
) -> tuple[list[expansion.SweepRun], int]:
    sweep = sweep_file.read(path)
    runs = expansion.expand(sweep)
    return runs, sweep_command.train(sweep, runs, workers, None, program)


def _print(request: Request, built: Sequence[Rung], is_tuned: bool) -> None:
    from primer.commands.printing import ladder_report

    ladder_report.print_ladder(request, built, is_tuned)


def request_of(options: argparse.Namespace) -> Request:
    """Returns the ladder that the options describe.

    Raises:
        UsageError: an option has no legal value.
    """
    rule = rules.RULES[options.rule]
    if options.rule == rules.SWEEP and options.learning_rate is not None:
        raise UsageError("--learning_rate and --rule sweep: name the rates to try with --rates")
    if options.rates is not None and options.rule != rules.SWEEP:
        raise UsageError(f"--rates {options.rates}: expected with --rule {rules.SWEEP} only")
    checks.positive_number("--tokens_per_parameter", options.tokens_per_parameter)
    if options.learning_rate is not None:
        checks.positive_number("--learning_rate", options.learning_rate)
    checks.whole_number("--evaluations", options.evaluations)
    return Request(
        _settings(options, rule),
        changes.parse(options.change),
        sizes.parse(options.sizes),
        options.tokens_per_parameter,
        options.rule,
        options.learning_rate,
        number_lists.rates(options.rates),
        options.schedule is None,
        number_lists.seeds(options.seeds),
        options.evaluations,
    )


def _settings(options: argparse.Namespace, rule: rules.Rule) -> dict[str, Any]:
    """Returns the settings that all runs share, paths of the user made absolute."""
    values = {
        "architecture": options.base,
        "activation": options.activation or bases.activation_of(options.base),
        "size": sizes.SIZE,
        "optimizer": options.optimizer or rule.optimizer,
        "schedule": options.schedule or rule.schedule,
        **{key: getattr(options, key) for key in _SETTINGS if getattr(options, key)},
    }
    folder = os.getcwd()
    return {
        key: run_settings.check_value(f"--{key}", key, value, folder)
        for key, value in values.items()
    }
