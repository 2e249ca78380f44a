"""A mixture of tasks that gin describes, for one training run: `MIXTURE_NAME = "mixture"`.

    mixture.tasks = [("sotu", 1.0), ("text", 2.0)]      # one row of three is from sotu
    mixture.tasks = ["sotu", ("text", "proportional")]  # proportional to the tasks' documents
    mixture.cap = 10000                                 # the largest rate; {"text": 500} for one
    mixture.temperature = 2.0                           # above 1: more equal shares

A rate is a number of examples, either set or counted (in the training split, before the objective
cuts documents into rows). Rates are capped, then raised to 1 / temperature: examples-proportional
and temperature-scaled mixing of the T5 paper (arXiv:1910.10683, sections 3.5.2 and 3.5.3), r =
min(e, cap) ^ (1 / T), as in seqio's `mixing_rate_num_examples`. Rows are drawn at these rates.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import gin
import seqio
import tensorflow as tf

from primer.common import checks, input_progress
from primer.errors import UsageError

NAME = "mixture"
PROPORTIONAL = "proportional"


@gin.configurable("mixture", module="primer")
@dataclasses.dataclass(frozen=True)
class MixtureSettings:
    """The tasks of the mixture and their rates.

    Attributes:
        tasks: pairs of a task's name and its rate, a positive number or "proportional"; a name
            alone is proportional.
        temperature: 1 keeps the rates; higher values make them more equal.
        cap: the largest rate of all tasks, or {task: its largest rate}; None for no limit.
    """

    tasks: list | tuple = ()
    temperature: float = 1.0
    cap: float | dict | None = None

    def checked(self) -> "MixtureSettings":
        """Returns itself; raises UsageError for an invalid setting."""
        # Not in __post_init__: gin adds lines to the message of an error that is raised there.
        rates = self.rates()
        for name, rate in rates.items():
            if name not in seqio.TaskRegistry.names():
                known = ", ".join(sorted(seqio.TaskRegistry.names()))
                raise UsageError(f"mixture.tasks names {name!r}; expected one of the tasks {known}")
            if rate != PROPORTIONAL:
                checks.positive_number(
                    f"mixture.tasks: the rate of {name!r}",
                    rate,
                    f"a number above 0, or {PROPORTIONAL!r} for its number of examples",
                )
        checks.positive_number("mixture.temperature", self.temperature)
        self._check_caps(rates)
        return self

    def _check_caps(self, rates):
        caps = self.cap if isinstance(self.cap, dict) else {None: self.cap}
        for name, cap in caps.items():
            if name is not None and name not in rates:
                raise UsageError(f"mixture.cap names {name!r}; expected a task of mixture.tasks")
            if cap is not None:
                checks.positive_number(f"mixture.cap of {name!r}" if name else "mixture.cap", cap)

    def rates(self) -> dict[str, Any]:
        """Returns {task: its rate as set}; raises UsageError for a list of another form."""
        if not self.tasks or not isinstance(self.tasks, (list, tuple)):
            raise UsageError(
                f"mixture.tasks is {self.tasks!r}; name the tasks to mix, as in mixture.tasks = "
                '[("sotu", 1.0), ("text", 2.0)]'
            )
        rates: dict[str, Any] = {}
        for entry in self.tasks:
            pair = (entry, PROPORTIONAL) if isinstance(entry, str) else entry
            if not isinstance(pair, (list, tuple)) or len(pair) != 2 or pair[0] in rates:
                raise UsageError(
                    f"mixture.tasks has the entry {entry!r}; expected each task once, as "
                    '("task", rate)'
                )
            rates[pair[0]] = pair[1]
        return rates

    def rate(self, task: seqio.Task) -> float:
        """Returns the rate at which a task's rows are drawn, capped and scaled."""
        rate = self.rates()[task.name]
        number = count_examples(task) if rate == PROPORTIONAL else rate
        cap = self.cap.get(task.name) if isinstance(self.cap, dict) else self.cap
        return float(number if cap is None else min(number, cap)) ** (1.0 / self.temperature)


def count_examples(task: seqio.Task) -> int:
    """Returns the number of examples of a task's training split.

    Raises:
        UsageError: the number is not known, or there is no example.
    """
    if task.cache_dir:
        number = task.get_cached_stats("train")["examples"]
    elif hasattr(task.source, "count"):
        number = task.source.count("train")
    else:
        number = task.num_input_examples("train")
    if not number:
        raise UsageError(
            f"mixture.tasks: the number of examples of {task.name!r} is "
            f"{'not known' if number is None else number}; set its rate to a number"
        )
    return number


class GinMixture(seqio.Mixture):
    """The mixture that gin's `mixture` describes, built again at each use.

    seqio requires a mixture's tasks at its registration, before gin has parsed any file.
    """

    def __init__(self, name: str) -> None:
        # Not super().__init__, which requires tasks.
        self._name = name
        self._source_info = None

    def seqio_mixture(self) -> seqio.Mixture:
        """Returns seqio's mixture of the tasks that gin names at this time.

        Raises:
            UsageError: the settings name no task, or are invalid.
        """
        settings = MixtureSettings().checked()
        # Counting a task's documents can take minutes: once for each.
        rate = functools.cache(settings.rate)
        return seqio.Mixture(self._name, [(name, rate) for name in settings.rates()])

    @property
    def tasks(self) -> Sequence[seqio.Task]:
        """The tasks, as in `seqio.Mixture`."""
        return self.seqio_mixture().tasks

    @property
    def total_rate(self) -> float:
        """The sum of the rates, as in `seqio.Mixture`."""
        return self.seqio_mixture().total_rate

    @property
    def rate_per_task_name(self) -> Mapping[str, Any]:
        """{task: rate}, as in `seqio.Mixture`."""
        return self.seqio_mixture().rate_per_task_name

    def get_rate(self, task: seqio.Task) -> float:
        """Returns the rate of a task, as in `seqio.Mixture`."""
        return self.seqio_mixture().get_rate(task)

    def get_dataset(self, *args: Any, **kwargs: Any) -> tf.data.Dataset:
        """Returns the mixed rows, as `seqio.Mixture.get_dataset`; reports the tasks' shares."""
        mixture, progress = self.seqio_mixture(), input_progress.current()
        if progress:
            progress.shares = {task.name: mixture.get_rate(task) for task in mixture.tasks}
        return mixture.get_dataset(*args, **kwargs)


seqio.MixtureRegistry.add_provider(NAME, GinMixture(NAME))
