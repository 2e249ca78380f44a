"""Several tasks in one training run, mixed as gin says: `MIXTURE_NAME = "mixture"`.

    mixture.tasks = [("sotu", 1.0), ("text", 2.0)]      # of three rows, one from sotu
    mixture.tasks = ["sotu", ("text", "proportional")]  # as many as each has documents
    mixture.cap = 10000                                 # no rate is larger; {"text": 500} for one
    mixture.temperature = 2.0                           # towards equal shares

A rate is a number of examples, given or counted (of the training split, before any objective cuts
it). Rates are capped, then raised to 1 / temperature: examples-proportional and temperature-scaled
mixing of the T5 paper (arXiv:1910.10683, sections 3.5.2 and 3.5.3), r = min(e, cap) ^ (1 / T), as
seqio's `mixing_rate_num_examples` computes it. What is drawn with these odds is rows.
"""

import dataclasses
import functools
import numbers

import gin
import seqio

from primer.common import input_progress
from primer.errors import UsageError

NAME = "mixture"
PROPORTIONAL = "proportional"


@gin.configurable("mixture", module="primer")
@dataclasses.dataclass(frozen=True)
class MixtureSettings:
    """Which tasks, and in which proportion.

    Attributes:
        tasks: pairs of a task's name and its rate, a positive number or "proportional"; a name
            alone is proportional.
        temperature: 1 for the rates as they are; the higher, the more equal.
        cap: the largest rate, of all tasks or {task: of this one}; None for no limit.
    """

    tasks: list | tuple = ()
    temperature: float = 1.0
    cap: float | dict | None = None

    def checked(self) -> "MixtureSettings":
        """Returns itself; raises UsageError for a setting that has no meaning."""
        # Not in __post_init__: gin adds lines of its own to an error that is raised in there.
        rates = self.rates()
        for name, rate in rates.items():
            if name not in seqio.TaskRegistry.names():
                known = ", ".join(sorted(seqio.TaskRegistry.names()))
                raise UsageError(f"mixture.tasks names {name!r}; expected one of the tasks {known}")
            if rate != PROPORTIONAL and not _is_positive(rate):
                raise UsageError(
                    f"mixture.tasks gives {name!r} the rate {rate!r}; expected a positive number, "
                    f"or {PROPORTIONAL!r} for its number of examples"
                )
        if not _is_positive(self.temperature):
            raise UsageError(
                f"mixture.temperature is {self.temperature!r}; expected a positive number"
            )
        self._check_caps(rates)
        return self

    def _check_caps(self, rates):
        caps = self.cap if isinstance(self.cap, dict) else {None: self.cap}
        for name, cap in caps.items():
            if name is not None and name not in rates:
                raise UsageError(f"mixture.cap names {name!r}, which is not in mixture.tasks")
            if cap is not None and not _is_positive(cap):
                raise UsageError(f"mixture.cap is {self.cap!r}; expected positive numbers")

    def rates(self) -> dict:
        """{task: its rate as it is given}; raises UsageError for a list of another form."""
        if not self.tasks or not isinstance(self.tasks, (list, tuple)):
            raise UsageError(
                f"mixture.tasks is {self.tasks!r}; name the tasks to mix, as in mixture.tasks = "
                '[("sotu", 1.0), ("text", 2.0)]'
            )
        found = {}
        for entry in self.tasks:
            pair = (entry, PROPORTIONAL) if isinstance(entry, str) else entry
            if not isinstance(pair, (list, tuple)) or len(pair) != 2 or pair[0] in found:
                raise UsageError(
                    f"mixture.tasks has the entry {entry!r}; expected each task once, as "
                    '("task", rate)'
                )
            found[pair[0]] = pair[1]
        return found

    def rate(self, task: seqio.Task) -> float:
        """The odds of a task's rows."""
        rate = self.rates()[task.name]
        number = count_examples(task) if rate == PROPORTIONAL else rate
        cap = self.cap.get(task.name) if isinstance(self.cap, dict) else self.cap
        return float(number if cap is None else min(number, cap)) ** (1.0 / self.temperature)


def _is_positive(value) -> bool:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_number and 0 < value < float("inf")


def count_examples(task: seqio.Task) -> int:
    """The number of examples of a task's training split.

    Raises:
        UsageError: nobody knows it, or there is none.
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
            f"{'not known' if number is None else number}; give its rate as a number"
        )
    return number


class GinMixture(seqio.Mixture):
    """The mixture that gin's `mixture` describes, asked for at each use.

    seqio wants the tasks of a mixture when it is registered, before gin has read anything.
    """

    def __init__(self, name: str):
        # Not super().__init__: there are no tasks yet.
        self._name = name
        self._source_info = None

    def seqio_mixture(self) -> seqio.Mixture:
        """seqio's own mixture of the tasks that gin names now.

        Raises:
            UsageError: the settings name none, or have no meaning.
        """
        settings = MixtureSettings().checked()
        # A count of documents can take minutes: once for each.
        rate = functools.cache(settings.rate)
        return seqio.Mixture(self._name, [(name, rate) for name in settings.rates()])

    @property
    def tasks(self):
        return self.seqio_mixture().tasks

    @property
    def total_rate(self):
        return self.seqio_mixture().total_rate

    @property
    def rate_per_task_name(self):
        return self.seqio_mixture().rate_per_task_name

    def get_rate(self, task):
        return self.seqio_mixture().get_rate(task)

    def get_dataset(self, *args, **kwargs):
        made, reading = self.seqio_mixture(), input_progress.current()
        if reading:
            reading.shares = {task.name: made.get_rate(task) for task in made.tasks}
        return made.get_dataset(*args, **kwargs)


seqio.MixtureRegistry.add_provider(NAME, GinMixture(NAME))
