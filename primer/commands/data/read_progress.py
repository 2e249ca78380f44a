"""How much text has been read: a live line on a terminal, a plain line now and then elsewhere."""

from primer.common.live_line import LiveLine


class ReadProgress(LiveLine):
    """Counts documents and bytes, and shows them.

    Args:
        label: what is being read.

    Attributes:
        documents, bytes: what was read.
    """

    def __init__(self, label):
        super().__init__()
        self._label = label
        self.documents = self.bytes = 0

    def of(self, texts):
        """The same texts, counted and shown as they are taken."""
        for text in texts:
            self.add(1, len(text))
            yield text

    def add(self, documents, size):
        """Counts documents of so many bytes in all that were read."""
        self.documents += documents
        self.bytes += size
        if self.is_due():
            megabytes = self.bytes / 1e6
            self.show(
                f"{self._label}  {self.documents:,} documents  {megabytes:,.1f} MB  "
                f"{megabytes / max(self.seconds, 1e-9):,.1f} MB/s"
            )
