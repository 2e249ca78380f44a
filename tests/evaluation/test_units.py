"""Units that a run requires: unknown ones, and those that a data set without text lacks."""

import gin
import pytest

import primer.data.tasks  # noqa: F401
from primer.errors import UsageError
from primer.evaluation import protocols
from primer.evaluation.units import check_units_known


@pytest.mark.parametrize("units", ["perplexity_per_word", ["nats_per_token", "bits_per_byte"]])
def test_units_of_text_are_refused_where_there_is_none(units):
    gin.bind_parameter("protocol.units", units)
    protocol = protocols.configured_protocol()
    with pytest.raises(UsageError, match="gpt_neo_records keeps token ids and no text"):
        protocol.read_split("gpt_neo_records", "validation", 16)
    gin.bind_parameter("protocol.name", "as_released")
    with pytest.raises(UsageError, match="as_released counts rows"):
        protocols.configured_protocol().check_task("text")
    protocols.Protocol("stream", units=("nats_per_token",)).check_task("gpt_neo_records")
    protocol.check_task("text")


def test_unknown_units_are_refused():
    check_units_known(["nats_per_token", "perplexity_per_word"])
    with pytest.raises(UsageError, match="'bits', 'words': expected some of nats_per_token"):
        check_units_known(["words", "bits_per_byte", "bits"])
