"""Counts models in a process of its own, which alone imports TensorFlow."""

import concurrent.futures
import dataclasses
import multiprocessing
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool

from primer.errors import RunError, UsageError


@dataclasses.dataclass(frozen=True)
class Count:
    """The numbers of a model and of its input.

    Attributes:
        parameters: all parameters.
        without_embedding: without the tables of tokens, positions and of the output.
        n: N of the rules (`primer.experiments.ladders.rules`).
        training_flops: FLOPs per token of a training step, as in docs/costs.md.
        vocabulary_size: the number of token ids.
        length: the tokens of a row.
        width: d_model.
        microbatch_rows: how many rows a microbatch has, where the batch can be divided so.
    """

    parameters: int
    without_embedding: int
    n: int
    training_flops: float
    vocabulary_size: int
    length: int
    width: int
    microbatch_rows: int


def counts(commands: Sequence[Sequence[str]], modules: Sequence[str]) -> list[Count | str]:
    """Returns the count of each model, or why it cannot be built.

    Args:
        commands: arguments of `t5_mesh_transformer`, those of a run of each model.
        modules: further modules to import.

    Raises:
        UsageError: a module cannot be imported.
        RunError: the process was ended.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(_counts, commands, modules).result()
    except BrokenProcessPool as error:
        raise RunError("the process that counts the models was ended; is memory short?") from error


def _counts(commands: Sequence[Sequence[str]], modules: Sequence[str]) -> list[Count | str]:
    from primer.planning.plans import engine_imports

    with engine_imports.imported(modules):
        return [_count(words) for words in commands]


def _count(words: Sequence[str]) -> Count | str:
    from primer.cost import model_cost
    from primer.planning.plans import training_run

    try:
        model = training_run.model_of(words)
    except (UsageError, RunError) as error:
        return str(error).splitlines()[0]
    cost = model.cost
    # 2 FLOPs for each weight that the output multiplies by, without padding of the vocabulary.
    output = round(cost.flops.get(model_cost.LOGITS, 0.0) / 2)
    return Count(
        cost.parameters.total,
        cost.parameters.without_embedding,
        cost.parameters.active + output,
        cost.training,
        model.vocabulary_size,
        model.length,
        model.width,
        model.microbatch_rows,
    )
