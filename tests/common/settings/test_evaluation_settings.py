"""Legal values of the settings of evaluation."""

import pytest

from primer.common.settings import evaluation_settings as settings
from primer.errors import UsageError


@pytest.mark.parametrize("name", [name for name in settings.PROTOCOLS if name != "sliding"])
def test_a_protocol_needs_no_setting(name):
    settings.check_protocol(name)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["foo"], "protocol.name = 'foo'"),
        (["sliding"], "protocol.stride"),
        (["stream", 8], "is for the protocol sliding"),
        (["stream", None, 2], "is for the protocol transformer_xl"),
        (["transformer_xl", None, 0], "protocol.columns"),
    ],
)
def test_a_protocol_with_a_wrong_setting_is_refused(arguments, words):
    with pytest.raises(UsageError, match=words):
        settings.check_protocol(*arguments)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((["a.txt"], "validation", None), "not both"),
        ((None, None, None), "there is neither"),
        ((["a.txt"], None, "sotu"), "--task goes with --split"),
    ],
)
def test_scores_need_files_or_a_split(arguments, words):
    with pytest.raises(UsageError, match=words):
        settings.check_score_input(*arguments)


def test_parquet_needs_a_file():
    settings.check_score_format("parquet", "scores.parquet")
    with pytest.raises(UsageError, match="standard output"):
        settings.check_score_format("parquet", None)
    with pytest.raises(UsageError, match="expected jsonl or parquet"):
        settings.check_score_format("csv", "scores.csv")
