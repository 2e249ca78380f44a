"""`primer sweep`: runs of a YAML file of axes: shown, planned, trained and evaluated here."""

import argparse
import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from primer.commands import sweep_engine
from primer.commands.sweep_engine import Engine
from primer.common import checks, console, user_paths
from primer.common.terminal import tables
from primer.errors import UsageError
from primer.experiments.sweeps import (
    expansion,
    local_runs,
    run_process,
    run_record,
    states_table,
    sweep_file,
)
from primer.experiments.sweeps.evaluations import results_file
from primer.experiments.sweeps.expansion import SweepRun
from primer.experiments.sweeps.workers import local
from primer.launch import engine
from primer.planning.machines import chips, step_time

# What `--index env` reads: SLURM's arrays, Kubernetes' indexed jobs.
INDEX_VARIABLES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands to the command's parser."""
    subparsers = parser.add_subparsers(dest="sweep_command", metavar="COMMAND", required=True)
    summary = "show the runs of a sweep, their directories and their states; start nothing"
    expand = subparsers.add_parser("expand", help=summary, description=f"{summary.capitalize()}.")
    _add_file(expand)
    expand.add_argument(
        "--commands", action="store_true", help="print the t5_mesh_transformer line of each run"
    )
    expand.add_argument("--json", action="store_true", help="print a list of JSON objects")
    _add_plan(subparsers)
    summary = "train the runs of a sweep; the same command goes on with what is not done"
    run_parser = subparsers.add_parser("run", help=summary, description=f"{summary.capitalize()}.")
    _add_running(run_parser, "trained")
    summary = "evaluate the checkpoints of a sweep, as its file's key evaluate says; train nothing"
    evaluate = subparsers.add_parser(
        "evaluate", help=summary, description=f"{summary.capitalize()}."
    )
    _add_running(evaluate, "evaluated")


def _add_running(parser: argparse.ArgumentParser, verb: str) -> None:
    _add_file(parser)
    parser.add_argument(
        "--workers",
        type=int,
        help=f"how many runs are {verb} at a time (default 1), and the processors are divided; "
        "with --engine ray the most at a time (default: all that the cluster has room for)",
    )
    parser.add_argument(
        "--index",
        help="only the run of this number, from 0, as `primer sweep expand` shows; env: the "
        f"number in {' or '.join(INDEX_VARIABLES)}",
    )
    sweep_engine.add_arguments(parser)


def _add_plan(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    summary = "show the parameters, FLOPs, memory and hours of the runs of a sweep; start nothing"
    parser = subparsers.add_parser("plan", help=summary, description=f"{summary.capitalize()}.")
    _add_file(parser)
    parser.add_argument(
        "--workers", type=int, default=1, help="how many runs are trained at a time (default 1)"
    )
    parser.add_argument(
        "--chip",
        choices=chips.NAMES,
        default=chips.CPU,
        help="the device of a run; cpu (default) is this machine, measured",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=user_paths.expand, metavar="FILE", help="the sweep's YAML file"
    )


def run(options: argparse.Namespace) -> int:
    """Runs the subcommand; returns its exit code."""
    sweep = sweep_file.read(options.file)
    runs = expansion.expand(sweep)
    if options.sweep_command == "expand":
        _show(sweep, runs, options)
        return 0
    if options.sweep_command == "plan":
        return _plan(sweep, runs, options)
    trains = options.sweep_command == "run"
    if not trains and not sweep.evaluations:
        raise UsageError(
            f"{sweep.path} has no key evaluate, which says what to measure; expected one as "
            "evaluate: {checkpoints: all, split: validation}"
        )
    engine = sweep_engine.from_options(options)
    return train(sweep, runs, options.workers, options.index, trains=trains, where=engine)


def _show(sweep: sweep_file.Sweep, runs: Sequence[SweepRun], options: argparse.Namespace) -> None:
    states = {one.name: run_record.state_of(one) for one in runs}
    if options.json:
        print(json.dumps([_as_json(one, states[one.name]) for one in runs], indent=2))
        return
    _print_table(sweep, runs, states)
    if options.commands:
        for one in runs:
            print(f"# {one.index}: {one.name}\n{engine.shell_command(one.arguments)}\n")


def _print_table(
    sweep: sweep_file.Sweep, runs: Sequence[SweepRun], states: Mapping[str, str]
) -> None:
    title = f"{sweep.name}: {states_table.counts(states)}"
    tables.console().print(states_table.table(title, runs, states))
    print(f"Directories of the runs: {sweep.output}")


def _as_json(one: SweepRun, state: str) -> dict[str, Any]:
    verdict = run_record.hopeless(run_record.read(one.model_dir))
    return {
        "index": one.index,
        "name": one.name,
        "model_dir": one.model_dir,
        "state": state,
        **({"hopeless": verdict} if state == run_record.HOPELESS else {}),
        "values": dict(one.values),
        "command": [engine.SCRIPT, *one.arguments],
    }


def train(
    sweep: sweep_file.Sweep,
    runs: Sequence[SweepRun],
    count: int | None,
    index: str | None,
    program: Sequence[str] | None = None,
    evaluation_program: Sequence[str] | None = None,
    trains: bool = True,
    where: Engine | None = None,
) -> int:
    """Trains and evaluates the runs of a sweep, or one of them, and prints their table.

    Args:
        sweep: the sweep.
        runs: its runs.
        count: how many are trained at a time; None for one, or for all on a Ray cluster.
        index: the number of one run, "env", or None for all.
        program: the words that begin the engine; None for `t5_mesh_transformer`.
        evaluation_program: the words that begin an evaluation; None for `primer eval`.
        trains: whether to train; if not, what is trained already is evaluated.
        where: where the processes run; None for this machine.

    Returns:
        The exit code: 0 if all are done and evaluated, 1 if not, 128 + the number of a signal.

    Raises:
        UsageError: an illegal number, a directory of the sweep holds something else, or no cluster
            can be used.
    """
    if count is not None and index is not None:
        raise UsageError("--workers and --index: give one or the other; --index is one run")
    chosen = runs if index is None else [_chosen(runs, index)]
    where = where or Engine()
    if count is None:
        count = len(chosen) if where.request else 1
    checks.whole_number("--workers", count)
    program = program or run_process.engine_program()
    evaluation_program = evaluation_program or run_process.evaluation_program()
    programs = [program[0], *([evaluation_program[0]] if sweep.evaluations else [])]
    display = states_table.StatesTable(sweep.name, chosen)
    with (
        display,
        sweep_engine.opened(*(where, count), sweep.output, programs, display.say) as places,
    ):
        training = local_runs.LocalRuns(
            *(sweep, chosen, places, display, runs, trains, program, evaluation_program),
            most_retries=where.most_retries,
        )
        code = training.train()
    _print_table(sweep, chosen, training.states)
    if training.results:
        path = os.path.join(sweep.output, results_file.NAME)
        print(f"Results: {path} ({training.results:,} rows)")
    if code:
        console.say("The same command goes on with what is not done.")
    return code


def _chosen(runs: Sequence[SweepRun], index: str) -> SweepRun:
    text, where = index, "--index"
    if index == "env":
        name = next((name for name in INDEX_VARIABLES if name in os.environ), None)
        if name is None:
            raise UsageError(f"--index env: none of {', '.join(INDEX_VARIABLES)} is set")
        text, where = os.environ[name], name
    if not text.isdecimal() or int(text) >= len(runs):
        raise UsageError(
            f"{where} = {text!r}: expected a number from 0 to {len(runs) - 1}"
            + ("" if index == "env" else ", or env")
        )
    return runs[int(text)]


def _plan(sweep: sweep_file.Sweep, runs: Sequence[SweepRun], options: argparse.Namespace) -> int:
    """Prints the plan of a sweep; returns 2 if runs have mistakes, whose lines are on the terminal.

    Mistakes that the text of gin files shows are found before TensorFlow is imported.
    """
    from primer.commands.printing import plan_report, sweep_plan_report
    from primer.experiments.sweep_plans import groups, sweep_plan
    from primer.planning.plans import engine_imports

    count = checks.whole_number("--workers", options.workers)
    processors = local.shares(count)[0]
    is_here = options.chip == chips.CPU
    utilization = step_time.MEASURED if is_here else step_time.UTILIZATION
    machine = sweep_plan.Machine(options.chip, utilization, count, len(processors))
    known = sweep_plan.mistakes_in_text(runs)
    sweep_plan_report.say_mistakes(known)
    if len(known) == len(groups.of_graphs(runs)):
        return 2
    with contextlib.ExitStack() as stack:
        if is_here:
            stack.enter_context(local.running_on(processors))
        stack.enter_context(engine_imports.imported(sweep_plan.modules_of(runs)))
        progress = stack.enter_context(plan_report.Progress())
        plan = sweep_plan.build(runs, machine, known, progress.planning)
    if options.json:
        print(json.dumps(sweep_plan_report.as_data(plan), indent=2))
    elif plan.groups:
        sweep_plan_report.print_plan(sweep.name, plan)
    new = {name: text for name, text in plan.mistakes.items() if name not in known}
    sweep_plan_report.say_mistakes(new)
    return 2 if plan.mistakes else 0
