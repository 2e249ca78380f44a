"""Compares estimates of `primer plan` with published throughputs.

    python benchmarks/planned_throughput.py OUTPUT.md OUTPUT.json

Six of Lingvo's dense language models (comments of
lingvo/tasks/lm/params/synthetic_packed_input.py), and the TPU v3 hours of a million steps of the
original T5 of 537 million parameters in Primer's paper (https://arxiv.org/abs/2109.08668). Nothing
is fitted to them, but the default utilization was raised from 0.5 to 0.7 after the first of them
was seen: 0.5 counted losses twice that memory and collectives have apart. Chips and formulas are
those of `primer plan`.
"""

import json
import sys
import time
from pathlib import Path

from primer.runtime import import_hook

import_hook.install()

import t5_imports  # noqa: E402, F401  Registers what gin files name.
from primer.gin_config import config_files  # noqa: E402
from primer.planning import vocabulary  # noqa: E402
from primer.planning.layouts import run_check  # noqa: E402
from primer.planning.machines import step_time  # noqa: E402
from primer.planning.plans import planner as plans  # noqa: E402

# Model -> (mesh, published tokens per second, replicas of the mesh).
LINGVO = {
    "dense_lm_128b_8x8": ((8, 16), 3_700, 1),
    "dense_lm_128b_16x16": ((16, 32), 18_000, 1),
    "dense_lm_128b_32x32": ((32, 64), 62_000, 1),
    "dense_lm_175b_32x32": ((64, 32), 51_530, 1),
    "dense_lm_1t_16x16": ((16, 32), 1_400, 1),
    "dense_lm_175b_32x32_dp": ((64, 16), 53_800, 2),
}
# Rows of a replica where the recipe has those of all replicas.
REPLICA_ROWS = {"dense_lm_175b_32x32_dp": 512}
MICROBATCHES = "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica"
PAPER_HOURS = 15_700
PAPER_STEPS = 1_000_000
PAPER_CHIPS = 64
PAPER_TOKENS = 2**20


def estimates(files, params, mesh, layout=None):
    """Returns the plan as the files set it, and with recomputation."""
    with plans.settings_of(files, params):
        machine = plans.Machine("v3", step_time.UTILIZATION, vocabulary.planned_vocabulary())
        planner = plans.Planner(machine)
        rules = run_check.layout_in_force() if layout is None else layout
        plan = planner.plan("as set", mesh, rules)
        again = planner.plan("recomputation", mesh, rules, plans.RECOMPUTED)
    return plan, again


def lingvo_row(model):
    """Returns the row of one of Lingvo's models."""
    (rows, columns), published, replicas = LINGVO[model]
    files = [*config_files.published_model_files(model), f"recipes/{model}.gin"]
    params = [f"{MICROBATCHES} = None"]  # The templates of these runs have none.
    if model in REPLICA_ROWS:
        params += [f"utils.run.batch_size = ('sequences_per_batch', {REPLICA_ROWS[model]})"]
    plan, again = estimates(files, params, {"rows": rows, "columns": columns})
    chosen = plan if plan.fits else again
    return {
        "run": model,
        "mesh": f"{rows}x{columns}" + (f", {replicas} times" if replicas > 1 else ""),
        "recomputation": chosen is again,
        "fits": chosen.fits,
        "peak_gib": chosen.program.memory.peak / 2**30,
        "step_seconds": chosen.time.seconds,
        "estimate": chosen.time.tokens_per_second * replicas,
        "without_recomputation": plan.time.tokens_per_second * replicas,
        "overlapped": chosen.time.tokens / chosen.time.overlapped * replicas,
        "published": published,
        "unit": "tokens/s",
    }


def paper_row():
    """Returns the row of Primer's paper: hours of chips."""
    files = config_files.published_model_files("large_transformer_vanilla")
    params = [
        f"utils.run.batch_size = ('tokens_per_batch', {PAPER_TOKENS})",
        f"{MICROBATCHES} = 8192",
    ]
    plan, again = estimates(files, params, {"batch": PAPER_CHIPS, "model": 2})
    chosen = plan if plan.fits else again

    def hours(seconds):
        return seconds * PAPER_STEPS * PAPER_CHIPS / 3600

    return {
        "run": "large_transformer_vanilla, a million steps of 2^20 tokens",
        "mesh": f"{PAPER_CHIPS}x2",
        "recomputation": chosen is again,
        "fits": chosen.fits,
        "peak_gib": chosen.program.memory.peak / 2**30,
        "step_seconds": chosen.time.seconds,
        "estimate": hours(chosen.time.seconds),
        "without_recomputation": hours(plan.time.seconds),
        "overlapped": hours(chosen.time.overlapped),
        "published": PAPER_HOURS,
        "unit": "hours of chips",
    }


def table(rows):
    """Returns the rows as a Markdown table."""
    lines = [
        "| run | mesh of cores | recomputation | peak, GiB | step, s | estimate | "
        "published | estimate / published | with collectives behind computation |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['run']} | {row['mesh']} | {'yes' if row['recomputation'] else 'no'} | "
            f"{row['peak_gib']:.1f}{'' if row['fits'] else ' (does not fit)'} | "
            f"{row['step_seconds']:.3g} | {row['estimate']:,.0f} {row['unit']} | "
            f"{row['published']:,} | {row['estimate'] / row['published']:.2f} | "
            f"{row['overlapped']:,.0f} |"
        )
    return "\n".join(lines)


def main():
    """Plans all runs and writes the table and the numbers."""
    rows = []
    for model in LINGVO:
        began = time.monotonic()
        rows.append(lingvo_row(model))
        print(model, rows[-1], f"{time.monotonic() - began:.0f} s", flush=True)
    rows.append(paper_row())
    print(rows[-1])
    markdown, data = map(Path, sys.argv[1:3])
    data.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    markdown.write_text(table(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
