"""File names that a record gives for files beside it."""

import pytest

from primer.common import member_names
from primer.errors import UsageError


@pytest.mark.parametrize(
    "name", ["train.tfrecord-00000-of-00002", "vocabulary.model", "..a", "x y"]
)
def test_a_plain_name_is_returned(name):
    assert member_names.check(name, "primer.json") == name


@pytest.mark.parametrize(
    "name", ["../other", "/etc/passwd", "a/b", "..", ".", "", "gs://bucket", "a\\b", "a\0", None, 3]
)
def test_a_name_that_leads_out_of_the_directory_is_refused(name):
    with pytest.raises(UsageError, match="data/primer.json names the file"):
        member_names.check(name, "data/primer.json")
