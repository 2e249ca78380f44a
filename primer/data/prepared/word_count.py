"""Counts the words of a text, as `str.split` separates them, in its UTF-8 bytes.

`str.split` makes a string of each word, which takes a tenth of the time of tokenization.
"""

import numpy as np

# Python's white space in ASCII: tab to carriage return, the four separators, the space.
_BLANK = bytes(int(code in (*range(9, 14), *range(28, 33))) for code in range(256))

# The other white space of Unicode, in UTF-8.
_SPACES = [
    chr(code).encode()
    for code in (0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
]
_LEAD = bytes(int(code in {space[0] for space in _SPACES}) for code in range(256))
_TWO, _THREE = (
    np.array([int.from_bytes(space, "big") for space in _SPACES if len(space) == size])
    for size in (2, 3)
)


def count_words(text: bytes) -> int:
    """Returns the number of words of a text, or of several texts joined by white space.

    Args:
        text: UTF-8.
    """
    blank = np.frombuffer(text.translate(_BLANK), np.uint8)
    if not len(blank):
        return 0
    if not text.isascii():
        blank = _with_spaces(text, blank.copy())
    return int(np.count_nonzero(blank[:-1] > blank[1:])) + int(not blank[0])


def _with_spaces(text, blank):
    """Marks also the bytes of white space outside of ASCII."""
    places = np.flatnonzero(np.frombuffer(text.translate(_LEAD), np.uint8))
    codes = np.frombuffer(text + b"\0\0", np.uint8)
    first, second, third = (codes[places + offset].astype(np.int32) for offset in range(3))
    two = first << 8 | second
    for is_space, size in ((np.isin(two, _TWO), 2), (np.isin(two << 8 | third, _THREE), 3)):
        for offset in range(size):
            blank[places[is_space] + offset] = 1
    return blank
