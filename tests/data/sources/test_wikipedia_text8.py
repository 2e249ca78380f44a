"""text8's filter gives what the original, run by Perl, gives."""

import pathlib

import pytest

from primer.data.sources import wikipedia_text8

WIKIPEDIA = pathlib.Path(__file__).with_name("wikipedia")
EXCERPT = WIKIPEDIA / "excerpt.xml"
PLAIN = (WIKIPEDIA / "excerpt.text8").read_bytes()


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_output_is_that_of_the_original(size):
    content = EXCERPT.read_bytes()
    chunks = (content[start : start + size] for start in range(0, len(content), size))
    assert b"".join(wikipedia_text8.plain_text(chunks)) == PLAIN


def test_markup_is_removed_and_visible_text_kept():
    article = (
        b"<title>Not this</title><text x='y'>A [[car|motor car]] of 1905, [[Image:car.png|thumb|"
        b"20px|the Caption]]{{box}} &amp;amp; [[fr:Voiture]][[Category:Cars|*]] [http://a.b link]"
        b"\xc3\xa9t\xc3\xa9</text><text>#REDIRECT [[Other]]</text> after"
    )
    found = b"".join(wikipedia_text8.plain_text([article]))
    assert found == b" a motor car of one nine zero five the caption cars link t"


def test_records_end_at_closing_brackets_in_any_chunks():
    content = b"<a>text</a> rest"
    expected = [b"<a>", b"text</a>", b" rest"]
    for size in range(1, len(content) + 1):
        chunks = (content[start : start + size] for start in range(0, len(content), size))
        assert list(wikipedia_text8.split_records(chunks)) == expected
