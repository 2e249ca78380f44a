"""Plain English of 27 characters from a Wikipedia in XML: how text8 is made.

The rules are those of Matt Mahoney's wikifil.pl (http://mattmahoney.net/dc/textdata.html, appendix
A): the text of articles as a reader sees it, without redirects, tables, references and addresses of
links, with the captions of images; then letters in lower case, digits as words, and one blank for
each run of anything else. text8 is the first 10^8 characters of what this gives for enwik9, of
which about 140 MB are read.

Text goes through in records that end in ">", as in the original, so that no rule reaches from one
to the next: a reference or a table with such a sign inside is taken away in part only. Bytes count,
not characters: of letters with accents nothing remains.
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

# (what, what for it), one after the other: the order matters, and so does where case does not.
_MARKUP = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        (rb"<ref[^<]*</ref>", b""),
        (rb"<[^>]*>", b""),
        (rb"\[http:[^] ]*", b"["),  # The address of a link, not its words.
        (rb"(?i)\|thumb", b""),
        (rb"(?i)\|left", b""),
        (rb"(?i)\|right", b""),
        (rb"(?i)\|\d+px", b""),
        (rb"(?i)\[\[image:[^\[\]]*\|", b""),  # All but the caption.
        (rb"(?i)\[\[category:([^|\]]*)[^]]*\]\]", rb"[[\1]]"),
        (rb"\[\[[a-z\-]*:[^\]]*\]\]", b""),  # The article in other languages.
        (rb"\[\[[^|\]]*\|", b"[["),  # The article that words link to.
        (rb"\{\{[^}]*\}\}", b""),
        (rb"\{[^}]*\}", b""),
        (rb"[\[\]]", b""),
        (rb"&[^;]*;", b" "),
    )
)
_ENTITIES = ((b"&amp;", b"&"), (b"&lt;", b"<"), (b"&gt;", b">"))


def records(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cuts bytes behind each ">", wherever the chunks that they come in end."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b">")
        for record in whole:
            yield record + b">"
    if rest:
        yield rest


def plain_text(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of the articles of a MediaWiki export, in pieces of a to z and blanks.

    Args:
        chunks: the bytes of the export, cut anywhere.
    """
    inside = False
    for record in records(chunks):
        inside = (inside or _ARTICLE_BEGINS in record) and not _REDIRECT.search(record)
        if inside:
            inside = _ARTICLE_ENDS not in record
            yield _letters(_visible(record))


def _visible(record: bytes) -> bytes:
    """What a reader sees of one record."""
    text = _TAG_AT_THE_END.sub(b"", record, count=1)
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    for pattern, instead in _MARKUP:
        text = pattern.sub(instead, text)
    return text


def _letters(text: bytes) -> bytes:
    """Lower-case letters and digits spelled out, one blank before each run of them."""
    text = re.sub(rb"\d", lambda digit: _SPELLED[digit.group()], text.lower())
    # The blank that would follow is the one before what comes next.
    return re.sub(rb"[^a-z]+", b" ", b" " + text + b" ")[:-1]
