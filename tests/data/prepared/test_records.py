"""Records against protobuf's own parser."""

import numpy as np
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
