"""The protocol that gin chooses: how a split is cut into windows."""

import dataclasses

import gin

from primer.errors import UsageError
from primer.evaluation import protocol as stream
from primer.evaluation import text as texts
from primer.evaluation.totals import Totals


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One way to cut a split.

    Attributes:
      name: "stream".
      stride: None.
    """

    name: str
    stride: int | None = None

    def __post_init__(self):
        if self.name != stream.NAME or self.stride is not None:
            raise UsageError(
                f"protocol.name = {self.name!r}, protocol.stride = {self.stride!r} (--protocol, "
                f"--stride): expected {stream.NAME!r} and no stride"
            )

    @property
    def label(self) -> str:
        """For names of files and tags."""
        return self.name

    def check(self, length):
        """Any length will do."""

    def describe(self, split, length, caveats=()) -> str:
        """What a number of this protocol is printed with."""
        return stream.describe(split, length, caveats)

    def read(self, task_name, split, length) -> texts.Text:
        """What this protocol scores of a split."""
        del length
        return texts.read(task_name, split)

    def evaluate(self, scorer, text, progress=None) -> Totals:
        """The total of a text."""
        return stream.evaluate(scorer, text, progress)


def chosen() -> Protocol:
    """The protocol that gin chooses."""
    return Protocol(*settings())


@gin.configurable("protocol", module="primer")
def settings(name="stream", stride=None):
    """What gin says: `protocol.name`, `protocol.stride`."""
    return name, stride
