"""Trains the model of gin files at several widths and compares the sizes of its layers' outputs.

The coordinate check of Tensor Programs V (https://arxiv.org/abs/2203.03466, figure 5 and appendix
D.1): where learning rate and initial values carry over from width to width, no size depends on it.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from primer.common import checks

if TYPE_CHECKING:
    from primer.planning.coordinates.growth import Growth

# Of random tokens, of which a batch has 256: a small vocabulary shows each often enough.
STEPS, SEEDS, VOCABULARY_SIZE = 4, 3, 512


@dataclasses.dataclass
class CoordinateCheck:
    """The result of `check_coordinates`.

    Attributes:
        widths: the values of d_model.
        base_width: the slot; None: settings are not carried over.
        optimizer: the slot's text.
        learning_rate: the slot, constant during the steps.
        steps, seeds, vocabulary_size: as given.
        outputs: the growth of each output, in the model's order.
    """

    widths: list[int]
    base_width: float | None
    optimizer: str
    learning_rate: float
    steps: int
    seeds: int
    vocabulary_size: int
    outputs: "list[Growth]"

    @property
    def is_flat(self) -> bool:
        """Whether every output is."""
        return all(output.is_flat for output in self.outputs)

    def as_data(self) -> dict[str, Any]:
        """Returns the result as data for JSON."""
        from primer.planning.coordinates import growth

        plain = {key: value for key, value in vars(self).items() if key != "outputs"}
        thresholds = {"grows_above": growth.GROWS, "vanishes_below": growth.VANISHES}
        found = growth.as_data(self.outputs)
        return {**plain, **thresholds, "is_flat": self.is_flat, "outputs": found}


def check_coordinates(
    files: Sequence[str],
    params: Sequence[str],
    widths: Sequence[int] | None = None,
    steps: int = STEPS,
    seeds: int = SEEDS,
    vocabulary_size: int = VOCABULARY_SIZE,
    report: Callable[[str], None] = lambda line: None,
) -> CoordinateCheck:
    """Trains a model at several widths on random tokens; restores gin's configuration afterwards.

    Everything that the files name has to be registered (by `import t5_imports`).

    Args:
        files: the values of `--gin_file`.
        params: the values of `--gin_param`.
        widths: values of d_model; None: half, once, twice and four times the files' own.
        steps: the number of training steps.
        seeds: the number of runs that are averaged.
        vocabulary_size: the number of token ids.
        report: gets a line before each width.

    Raises:
        UsageError: the files cannot be parsed, a width is not possible, or a model not built.
    """
    import tensorflow.compat.v1 as tf

    from primer.gin_config import gin_state, isolation
    from primer.planning import check
    from primer.planning.coordinates import growth
    from primer.planning.coordinates import widths as sizes

    tf.disable_v2_behavior()
    with isolation.isolated():
        check.parse(files, params)
        chosen = sizes.checked(sizes.default_widths() if widths is None else widths)
        bindings = {width: sizes.bindings_at(width) for width in chosen}
        base_width, rate = map(gin_state.value_of_macro, ("base_width", "learning_rate"))
        checks.positive_number("learning_rate", rate)
        optimizer = _optimizer_text()
    measured = []
    for width in chosen:
        report(f"d_model = {width}: {seeds} runs of {steps} steps")
        measured.append(
            _at_width(files, [*params, *bindings[width]], vocabulary_size, steps, seeds)
        )
    outputs = growth.of_outputs(chosen, measured)
    return CoordinateCheck(
        chosen, base_width, optimizer, rate, steps, seeds, vocabulary_size, outputs
    )


def _at_width(files, params, vocabulary_size, steps, seeds):
    from primer.gin_config import isolation
    from primer.planning import check, parse
    from primer.planning.coordinates import activations

    with isolation.isolated():
        check.parse(files, [*params, *activations.SETTINGS])
        with parse.building("the model"):
            return activations.measure(vocabulary_size, steps, seeds)


def _optimizer_text() -> str:
    """Returns the slot `optimizer` as gin writes it, references to other slots followed."""
    from primer.gin_config import slots

    values = slots.values_in_force()
    return slots.resolve_references(values).get("optimizer", values["optimizer"])
