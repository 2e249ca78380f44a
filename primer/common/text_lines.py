"""What ends a line of text: a carriage return, a line feed, or both in this order; nothing else.

Every reader of lines uses these functions. `str.splitlines` also ends a line at a form feed, at
NEL and at U+2028, which belong to the text; TensorFlow's reader of lines drops carriage returns.
"""


def split_lines(content: bytes, keep_ends: bool = False) -> list[bytes]:
    """Returns the lines of a text; a last line needs no end.

    Args:
        content: the text in UTF-8, or any encoding in which these two bytes have no other meaning.
        keep_ends: whether each line keeps the bytes that end it.
    """
    return content.splitlines(keep_ends)  # Of bytes it knows these three ends only.


def without_end(line: bytes) -> bytes:
    """Returns a line of `split_lines(..., keep_ends=True)` without the bytes that end it."""
    return line.rstrip(b"\r\n")


def with_line_feeds(content: bytes) -> bytes:
    """Returns a text in which a line feed ends every line."""
    if b"\r" not in content:
        return content
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
