"""Lines end at carriage returns and line feeds, and at nothing else."""

import pytest

from primer.common import text_lines

NO_ENDS = "a\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029b"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_one_end_ends_one_line(end):
    content = f"{NO_ENDS}{end}{end}last".encode()
    assert text_lines.split_lines(content) == [NO_ENDS.encode(), b"", b"last"]
    assert text_lines.split_lines(content + end.encode()) == [NO_ENDS.encode(), b"", b"last"]
    kept = text_lines.split_lines(content, keep_ends=True)
    assert b"".join(kept) == content
    assert list(map(text_lines.without_end, kept)) == text_lines.split_lines(content)
    assert text_lines.with_line_feeds(content) == f"{NO_ENDS}\n\nlast".encode()
