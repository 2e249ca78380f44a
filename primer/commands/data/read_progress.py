"""Shows how much text has been read: a live line on a terminal, an occasional line elsewhere."""

from collections.abc import Iterable, Iterator

from primer.common.live_line import LiveLine


class ReadProgress(LiveLine):
    """Counts the documents and bytes that are read, and shows them.

    Args:
        label: what is being read.

    Attributes:
        documents: number of documents read.
        bytes: number of bytes read.
    """

    def __init__(self, label: str) -> None:
        super().__init__()
        self._label = label
        self.documents = self.bytes = 0

    def count(self, texts: Iterable[bytes]) -> Iterator[bytes]:
        """Yields the same texts and counts each one."""
        for text in texts:
            self.add(1, len(text))
            yield text

    def add(self, documents: int, size: int) -> None:
        """Adds a number of documents and their total bytes."""
        self.documents += documents
        self.bytes += size
        if self.is_due():
            megabytes = self.bytes / 1e6
            self.show(
                f"{self._label}  {self.documents:,} documents  {megabytes:,.1f} MB  "
                f"{megabytes / max(self.seconds, 1e-9):,.1f} MB/s"
            )
