"""A source of examples that are made while they are read, without files."""

from collections.abc import Sequence

import seqio

from primer.data.sources import availability


class MadeSource(seqio.DataSource):
    """A source without files, whose elements do not depend on each other.

    Args:
        splits: the names of its splits.

    Attributes:
        keeps_text: False: ids have no texts.
    """

    keeps_text = False

    def __init__(self, splits: Sequence[str]) -> None:
        super().__init__(splits=splits, num_input_examples=None, caching_permitted=False)

    @property
    def supports_arbitrary_sharding(self) -> bool:
        """True: elements do not depend on each other."""
        return True

    def list_shards(self, split: str) -> list[str]:
        """Returns one name, of all elements of a split."""
        return [split]

    def describe_availability(self, data_dir: str | None = None) -> availability.Availability:
        """Returns that the source needs no file."""
        del data_dir
        return availability.Availability("here", "made while it is read")
