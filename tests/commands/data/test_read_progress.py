"""The progress of reading: every document and byte is counted, and shown at intervals."""

from primer.commands.data.read_progress import ReadProgress
from primer.common import live_line


def test_texts_are_counted_and_pass_through(capsys):
    texts = [b"one", b"", b"three"]
    with ReadProgress("reading sotu") as progress:
        assert list(progress.count(iter(texts))) == texts
        progress.add(10, 1000)
    assert (progress.documents, progress.bytes) == (13, 1008)
    assert capsys.readouterr().err == ""  # Without a terminal a line is due every 30 seconds.


def test_a_line_shows_documents_and_megabytes(capsys, monkeypatch):
    monkeypatch.setattr(live_line, "PLAIN_SECONDS", 0)
    with ReadProgress("reading sotu") as progress:
        progress.add(1500, 2_500_000)
    assert capsys.readouterr().err.startswith("reading sotu  1,500 documents  2.5 MB  ")
