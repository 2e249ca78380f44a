"""The rungs of a ladder on the terminal."""

from collections.abc import Sequence

from primer.common.terminal import tables
from primer.experiments.ladders import rules
from primer.experiments.ladders.changes import BASE
from primer.experiments.ladders.rungs import Request, Rung, tried_rates

_MODELS = ("size", "change", "depth", "width", "parameters", "without embedding", "FLOPs of a run")
_RUNS = ("size", "N", "rate", "batch", "rows", "length", "tokens", "steps")


def print_ladder(request: Request, rungs: Sequence[Rung], is_tuned: bool) -> None:
    """Prints the models of a ladder, the settings of their runs, and what they take.

    Args:
        request: the ladder.
        rungs: its rungs.
        is_tuned: whether the rates of `rules.SWEEP` are known.
    """
    output = tables.console()
    output.print(_models_table(rungs))
    output.print(_runs_table(request, rungs, is_tuned))
    for sentence in _sentences(request, rungs, is_tuned):
        output.print(sentence, soft_wrap=True)


def _models_table(rungs: Sequence[Rung]):
    result = tables.table("Models", *_MODELS, words=("change",))
    for rung in rungs:
        for label, count in rung.counts.items():
            result.add_row(
                rung.size.label,
                label,
                str(rung.size.depth),
                f"{count.width:,}",
                f"{count.parameters:,}",
                f"{count.without_embedding:,}",
                tables.flops(count.training_flops * rung.tokens),
            )
    return result


def _runs_table(request: Request, rungs: Sequence[Rung], is_tuned: bool):
    result = tables.table("Runs", *_RUNS)
    for rung in rungs:
        result.add_row(
            rung.size.label,
            f"{rung.base.n:,}",
            _rates(request, rungs, rung, is_tuned),
            f"{rung.batch_tokens:,}",
            f"{rung.rows:,}",
            f"{rung.base.length:,}",
            f"{rung.tokens:,}",
            f"{rung.steps:,}",
        )
    return result


def _rates(request: Request, rungs: Sequence[Rung], rung: Rung, is_tuned: bool) -> str:
    if request.rule == rules.SWEEP and not is_tuned:
        factor = (rung.base.n / rungs[0].base.n) ** (-1 / 3)
        return "the best" if rung is rungs[0] else f"{factor:.3f} x the best"
    if len(set(rung.learning_rates.values())) == 1:
        return f"{rung.learning_rates[BASE]:g}"
    return ", ".join(f"{label} {rate:g}" for label, rate in rung.learning_rates.items())


def _sentences(request: Request, rungs: Sequence[Rung], is_tuned: bool) -> list[str]:
    base = rungs[0].base
    settings = request.settings
    runs = len(rungs) * len(request.changes) * len(request.seeds)
    flops = sum(
        count.training_flops * rung.tokens * len(request.seeds)
        for rung in rungs
        for count in rung.counts.values()
    )
    found = [
        f"Rule {rules.RULES[request.rule].sentence}.",
        f"N: parameters of the layers and of the output (width x {base.vocabulary_size:,} token "
        "ids) of the model without a change; its learning rate, batch and tokens are those of all "
        "changes. Rows are rounded to whole microbatches, steps to whole ones.",
        f"{request.tokens_per_parameter:g} tokens for each of N; optimizer "
        f"{settings['optimizer']}, schedule {settings['schedule']}, activation "
        f"{settings['activation']}, seeds {', '.join(map(str, request.seeds))}.",
        *(f"Size {rung.size.label}: {_further(rung)}." for rung in rungs if rung.settings),
        f"{runs} runs, {tables.flops(flops)} FLOPs.",
    ]
    if request.rule == rules.SWEEP and not is_tuned:
        found.insert(1, _about_tuning(request, rungs))
    return found


def _about_tuning(request: Request, rungs: Sequence[Rung]) -> str:
    first, rates = rungs[0], tried_rates(request, rungs)
    flops = sum(count.training_flops * first.tokens * len(rates) for count in first.counts.values())
    return (
        f"Before: {len(rates) * len(first.counts)} runs of {first.size.label} with the rates "
        f"{', '.join(f'{rate:g}' for rate in rates)}, {tables.flops(flops)} FLOPs."
    )


def _further(rung: Rung) -> str:
    return ", ".join(
        f"{key.removeprefix('gin.')} = {value}" for key, value in rung.settings.items()
    )
