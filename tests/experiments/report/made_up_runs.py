"""Directories of evaluated runs with made-up losses, in the files that a real run writes."""

import math
import os
import random
import re

from primer.checkpoints import model_directory
from primer.common import files
from primer.cost import conventions
from primer.evaluation import results
from primer.experiments.sweeps import run_record

TEXT = {
    "task": "sotu",
    "split": "validation",
    "protocol": "stream",
    "window": 128,
    "text_checksum": "7e8434255f756ff5",
    "counts_checksum": "c755c234f112d738",
    "tokens": 155_160,
    "bytes": 758_194,
    "words": 122_810,
    "characters": 757_653,
    "documents": 12,
    "how": "Whole validation split, every token scored once.",
}
CONFIG = """import primer.layers as primer{alias}
d_ff = {d_ff}
attention = @primer{alias}.{attention}
run.learning_rate_schedule = @{schedule}
run.model_dir = '{directory}'
run_seed.seed = {seed}
"""
TOKENS, FLOPS = 1024, 1000  # Tokens of a step, FLOPs of a token.


def loss_at(step, final, seed, noise=0.01):
    """Returns a loss that falls to `final` at step 100, with an effect of the seed and noise."""
    draw = random.Random(f"{step} {final} {seed}")
    return final + 3 * (1 / step - 0.01) + 0.05 * math.sin(seed) + draw.gauss(0, noise)


def run(
    directory,
    final,
    seed,
    *,
    steps=(10, 30, 100),
    sweep=None,
    attention="MHA",
    schedule="constant_schedule",
    hopeless=None,
    parameters=None,
    more_config="",
    **changes,
):
    """Writes a run.

    Args:
        directory: a pathlib.Path that does not exist.
        final: the loss at the last step, or a function of the step.
        seed: its seed.
        steps: those of the evaluated checkpoints.
        sweep: its name in a sweep, or None for a run of no sweep.
        attention, schedule: settings.
        hopeless: of a run of a sweep, the step at which it was stopped as hopeless.
        parameters: those without embedding, which a token costs 6 FLOPs each; None: not recorded.
        more_config: further lines of config.gin.
        changes: other values of the rows than those of TEXT.
    """
    os.makedirs(directory)
    config = CONFIG.format(
        directory=directory,
        seed=seed,
        d_ff=64,
        attention=attention,
        alias=len(attention),
        schedule=schedule,
    )
    (directory / "config.gin").write_text(config + more_config)
    flops = 6 * parameters if parameters else FLOPS
    record = {"tokens_per_step": [[0, TOKENS, flops, conventions.EXACT]]}
    files.write_json(os.path.join(directory, model_directory.RECORD), record)
    if sweep is not None:
        _write_record(directory, sweep, seed, hopeless)
    if parameters is not None:
        changes["active_parameters_without_embedding"] = parameters
    text = TEXT | changes
    kept = results.Results(str(directory), f"sotu_{text['split']}_{text['protocol']}")
    for step in steps:
        loss = final(step) if callable(final) else loss_at(step, final, seed)
        kept.add_row(row(step, loss, text) | {"model_dir": str(directory)})
    kept.close()
    return str(directory)


def row(step, loss, text):
    """Returns a row as `primer eval` writes it."""
    nats = loss * text["tokens"]
    finite = math.isfinite(loss)
    return {
        "step": step,
        "nats_per_token": loss,
        "perplexity_per_token": math.exp(loss) if finite else math.inf,
        "bits_per_byte": nats / math.log(2) / text["bytes"] if text["bytes"] else math.nan,
        "nats": nats,
        **text,
        "configuration": "6c36d4ef6deeecf6",
        "primer": "0.1.0",
        "weights": f"{step:016x}",
        "not_as_trained": text.get("not_as_trained", ""),
    }


def _write_record(directory, sweep, seed, hopeless):
    values = dict(part.split("=") for part in sweep.split(",")) | {"seed": seed}
    record = {
        "sweep": {"name": "rates", "file": "rates.yaml"},
        "run": f"{sweep},seed={seed}",
        "values": values,
        "settings": values,
        "starts": [
            {
                "began": "2026-11-29T17:00:00+00:00",
                "ended": "2026-11-29T18:00:00+00:00",
                "outcome": "done" if hopeless is None else "hopeless",
                **({} if hopeless is None else {"hopeless": {"step": hopeless}}),
            }
        ],
    }
    run_record.write(str(directory), record)
    began = 1_795_971_600  # 2026-11-29T17:00:00+00:00
    for step in (10, 30, 100):
        path = directory / f"model.ckpt-{step}.index"
        path.write_text("")
        os.utime(path, (began + 20 * step, began + 20 * step))


def sweep(folder, finals, seeds=(1, 2, 3, 4, 5), **options):
    """Writes the runs of a sweep, {architecture: final loss} by seeds; returns the folder."""
    for name, final in finals.items():
        for seed in seeds:
            directory = folder / f"architecture={name},seed={seed}"
            attention = re.sub(r"\W", "_", name)
            run(
                directory,
                final,
                seed,
                sweep=f"architecture={name}",
                attention=attention,
                **options,
            )
    return str(folder)


def sizes(folder, laws, cells, seeds=(1,), noise=0.0, of_seed=0.0, **options):
    """Writes the runs of families of sizes; returns the folder.

    Args:
        folder: where.
        laws: {architecture: a function (parameters, tokens) -> final loss}.
        cells: (parameters, steps) of each group.
        seeds: those of each group.
        noise, of_seed: standard deviations of the log of a loss: of each run, and of each seed.
        options: as for `run`.
    """
    for name, law in laws.items():
        for parameters, steps in cells:
            for seed in seeds:
                draw = random.Random(f"{name} {parameters} {steps} {seed} {noise}")
                shift = noise * draw.gauss(0, 1) + of_seed * random.Random(seed).gauss(0, 1)
                loss = law(parameters, steps * TOKENS) * math.exp(shift)
                group = f"architecture={name},size={parameters},steps={steps}"
                run(
                    folder / f"{group},seed={seed}",
                    lambda step, loss=loss, steps=steps: loss + 4 * (1 / step - 1 / steps),
                    seed,
                    steps=(max(1, steps // 4), steps),
                    sweep=group,
                    attention=name,
                    parameters=parameters,
                    **options,
                )
    return str(folder)
