"""Extracts plain English of 27 characters from a Wikipedia XML dump, as text8 was made.

The rules are those of Matt Mahoney's wikifil.pl (http://mattmahoney.net/dc/textdata.html, appendix
A): the visible text of articles, without redirects, tables, references and link addresses, with the
captions of images; then lower-case letters, digits as words, and one blank for each run of other
characters. text8 is the first 10^8 characters of the output for enwik9, of which about 140 MB are
read.

As in the original, the text is processed in records that end in ">", so no rule matches across two
records: a reference or table that contains ">" is removed only in part. The rules see bytes, not
characters: accented letters are removed.
"""

import re
from collections.abc import Iterable, Iterator

CHARACTERS = 100_000_000

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SPELLED = {str(value).encode(): f" {name} ".encode() for value, name in enumerate(_DIGITS)}

_ARTICLE_BEGINS = b"<text "
_ARTICLE_ENDS = b"</text>"
_REDIRECT = re.compile(rb"#redirect", re.IGNORECASE)
_TAG_AT_THE_END = re.compile(rb"<.*>")

# (pattern, replacement), applied in this order; only the patterns with (?i) ignore case.
_MARKUP = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (rb"<ref[^<]*</ref>", b""),
        (rb"<[^>]*>", b""),
        (rb"\[http:[^] ]*", b"["),  # The address of a link, not its words.
        (rb"(?i)\|thumb", b""),
        (rb"(?i)\|left", b""),
        (rb"(?i)\|right", b""),
        (rb"(?i)\|\d+px", b""),
        (rb"(?i)\[\[image:[^\[\]]*\|", b""),  # Keeps the caption.
        (rb"(?i)\[\[category:([^|\]]*)[^]]*\]\]", rb"[[\1]]"),
        (rb"\[\[[a-z\-]*:[^\]]*\]\]", b""),  # The link to another language.
        (rb"\[\[[^|\]]*\|", b"[["),  # The target of a link.
        (rb"\{\{[^}]*\}\}", b""),
        (rb"\{[^}]*\}", b""),
        (rb"[\[\]]", b""),
        (rb"&[^;]*;", b" "),
    )
)
_ENTITIES = ((b"&amp;", b"&"), (b"&lt;", b"<"), (b"&gt;", b">"))


def split_records(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the bytes of all chunks cut after each ">", independent of the chunks' borders."""
    rest = b""
    for chunk in chunks:
        *complete, rest = (rest + chunk).split(b">")
        for record in complete:
            yield record + b">"
    if rest:
        yield rest


def plain_text(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the text of a MediaWiki export's articles, in pieces of the letters a to z and blanks.

    Args:
        chunks: the bytes of the export, cut anywhere.
    """
    inside = False
    for record in split_records(chunks):
        inside = (inside or _ARTICLE_BEGINS in record) and not _REDIRECT.search(record)
        if inside:
            inside = _ARTICLE_ENDS not in record
            yield _letters(_visible(record))


def _visible(record: bytes) -> bytes:
    """The visible text of one record."""
    text = _TAG_AT_THE_END.sub(b"", record, count=1)
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return text


def _letters(text: bytes) -> bytes:
    """Lower-case letters and spelled-out digits, with one blank before each run of them."""
    text = re.sub(rb"\d", lambda digit: _SPELLED[digit.group()], text.lower())
    # The last blank is dropped: the next record begins with one.
    return re.sub(rb"[^a-z]+", b" ", b" " + text + b" ")[:-1]
