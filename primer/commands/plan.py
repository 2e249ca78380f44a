"""`primer plan`: what a run takes on a mesh of chips, computed from gin files, without a device."""

import argparse
import json
from typing import TYPE_CHECKING

from primer.commands import options as shared
from primer.commands.printing import plan_report
from primer.common import checks, user_paths
from primer.errors import UsageError
from primer.launch import train
from primer.planning.layouts import notation
from primer.planning.machines import chips, step_time
from primer.planning.plans import engine_imports

if TYPE_CHECKING:
    from primer.planning.plans.report import Report

CHIP = "v3"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    shared.add_gin_files(parser)
    shared.add_model(parser, "a model, before these files")
    shared.add_task_without_data(parser)
    shared.add_optimization(parser)
    shared.add_gin_file(parser)
    shared.add_gin_param(parser, "utils.run.batch_size = 16")
    shared.add_module_import(parser)
    _add_mesh(parser)
    parser.add_argument("--tokens", help="a number of tokens to train on, as 300B: days and hours")
    parser.add_argument(
        "--utilization",
        type=float,
        help="the share of the peak that matrix products are taken to reach (default: "
        f"{step_time.UTILIZATION}; of a measured cpu {step_time.MEASURED:g})",
    )
    parser.add_argument("--vocabulary_size", type=int, help="the number of token ids")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="lower every block; else a few, whose numbers are extended to all",
    )
    parser.add_argument("--json", type=user_paths.expand, metavar="FILE", help="write the plan")
    parser.add_argument(
        "--output", type=user_paths.expand, metavar="FILE.png", help="draw memory and time by layer"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace these files")


def _add_mesh(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mesh",
        help="the axes of the mesh: sizes, as 8x16, or with names, as rows:8,columns:16 "
        "(default: that of the gin files)",
    )
    parser.add_argument(
        "--layout",
        help="dimensions of the model and the axes that split them, as batch:rows,d_ff:columns "
        "(default: utils.run.layout_rules)",
    )
    parser.add_argument(
        "--chip",
        choices=chips.NAMES,
        default=CHIP,
        help=f"the device; v3 is a core, half a chip; cpu is this machine (default: {CHIP})",
    )
    parser.add_argument(
        "--sweep_mesh",
        action="store_true",
        help="plan all meshes of as many devices with all layouts worth a look, and rank them",
    )
    parser.add_argument(
        "--auto_layout",
        action="store_true",
        help="plan Mesh-TensorFlow's auto_mtf layout, and compare it with a search (needs ortools)",
    )


def run(options: argparse.Namespace) -> int:
    """Prints the plan and returns 0, also if the run does not fit; that is a result."""
    files = shared.gin_files_of_run(options, "plan")
    mesh = notation.mesh_of(options.mesh) if options.mesh is not None else None
    layout = notation.layout_of(options.layout) if options.layout is not None else None
    tokens = _number_of_tokens(options.tokens)
    _check_options(options)
    params = [*train.learning_rate_bindings(options.learning_rate), *options.gin_param]
    shared.check_settings(files, params, options.module_import, slots=True)
    with engine_imports.imported(options.module_import):
        from primer.planning.plans import request  # Not at the top: it imports TensorFlow.

        asked = request.Request(
            files=files,
            params=params,
            mesh=mesh,
            layout=layout,
            chip=options.chip,
            utilization=_utilization(options),
            vocabulary_size=options.vocabulary_size,
            of_task=options.task is not None,
            tokens=tokens,
            sweep=options.sweep_mesh,
            automatic=options.auto_layout,
            whole=options.whole,
        )
        with plan_report.Progress() as progress:
            report = request.report(
                asked,
                progress.planning,
                lambda: shared.say_settings_without_effect(files, params, progress),
            )
    plan_report.print_report(report)
    _write(report, options)
    return 0


def _utilization(options: argparse.Namespace) -> float:
    if options.utilization is not None:
        return options.utilization
    return step_time.MEASURED if options.chip == chips.CPU else step_time.UTILIZATION


def _check_options(options: argparse.Namespace) -> None:
    """Raises UsageError for a wrong option, before TensorFlow is imported."""
    share = options.utilization
    if share is not None and not 0 < share <= 1:
        raise UsageError(f"--utilization = {share!r}: expected a number above 0, at most 1")
    if options.vocabulary_size is not None:
        checks.whole_number("--vocabulary_size", options.vocabulary_size)
    if options.auto_layout:
        from primer.planning.layouts import integer_program

        integer_program.require_ortools()
    for option in ("json", "output"):
        path = getattr(options, option)
        if path is not None:
            checks.output_file(path, f"--{option}", options.overwrite, options.files)
    if options.output is not None and not options.output.endswith(".png"):
        raise UsageError(f"--output {options.output}: expected the name of a .png file")


def _number_of_tokens(text: str | None) -> float | None:
    """Returns the number of --tokens, as 300B, 1.5T or 20000000000; None for None."""
    if text is None:
        return None
    expected = "a number of tokens, as 300B, 1.5T or 20000000"
    return checks.number_with_unit("--tokens", text, expected)


def _write(report: "Report", options: argparse.Namespace) -> None:
    """Writes the files of --json and --output."""
    from primer.common import files
    from primer.planning.plans import data

    if options.json is not None:
        files.write_output(
            options.json, (json.dumps(data.of_report(report), indent=2) + "\n").encode()
        )
        print(f"Plan: {options.json}")
    if options.output is not None:
        from primer.experiments import plan_figure

        plan_figure.draw(report.plan, options.output)
        print(f"Picture: {options.output}")
