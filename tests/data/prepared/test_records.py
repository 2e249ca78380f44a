"""Records against protobuf's own parser."""

import numpy as np
import pytest
import tensorflow as tf

from primer.data.prepared import records


def test_records_are_those_of_protobuf():
    ids = np.array([0, 1, 127, 128, 16383, 16384, 2**21, 2**31 - 1, 5], np.int64)
    ends = [0, 3, 3, 9]
    made = records.examples("targets", ids, np.array(ends))
    for record, start, end in zip(made, ends[:-1], ends[1:], strict=True):
        example = tf.train.Example.FromString(record)
        assert list(example.features.feature) == ["targets"]
        found = list(example.features.feature["targets"].int64_list.value)
        assert found == ids[start:end].tolist()
    assert records.examples("targets", ids[:0], np.array([0])) == []


IDS = np.random.RandomState(0).choice([0, 1, 127, 128, 16383, 16384, 2**21, 2**31 - 1], 300)


def test_ids_are_decoded():
    assert records.decode(records.encode(IDS)).tolist() == IDS.tolist()
    assert records.decode(b"").tolist() == []


@pytest.mark.parametrize("number", [0, 1, 20, 127, 128, 300])
def test_a_part_of_a_record_is_decoded(monkeypatch, number):
    monkeypatch.setattr(records, "_BLOCK_BYTES", 16)
    (record,) = records.examples("targets", IDS[:number], np.array([0, number]))
    encoded = records.EncodedIds(record, "targets", number)
    for first in range(0, number + 1, 7):
        for last in (first - 1, first, first + 1, first + 9, number):
            if last <= number:
                found = records.decode(encoded.between(first, last))
                assert found.tolist() == IDS[first:last].tolist() or last < first


def test_another_record_is_refused():
    (record,) = records.examples("text", IDS, np.array([0, len(IDS)]))
    with pytest.raises(ValueError, match="no list of 'targets' alone"):
        records.EncodedIds(record, "targets", len(IDS))
