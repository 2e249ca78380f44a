"""The numbers of event files: several sessions merged, damaged ends left out."""

import math

import pytest
import tensorflow.compat.v1 as tf

from primer.errors import UsageError
from primer.runtime import session
from primer.runtime.tracking import event_files


def write(directory, name, *events, start=None):
    """Writes an event file; each event is (step, {tag: value})."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"events.out.tfevents.{name}"
    with tf.io.TFRecordWriter(str(path)) as file:
        file.write(tf.Event(wall_time=0.5, file_version="brain.Event:2").SerializeToString())
        if start is not None:
            log = tf.SessionLog(status=tf.SessionLog.START)
            file.write(tf.Event(wall_time=1.0, step=start, session_log=log).SerializeToString())
        for step, values in events:
            summary = tf.Summary()
            for tag, value in values.items():
                summary.value.add(tag=tag, simple_value=value)
            event = tf.Event(wall_time=100.0 + step, step=step, summary=summary)
            file.write(event.SerializeToString())
    return path


def values(scalars, tag="loss", source="train"):
    return {s.step: s.value for s in scalars if (s.tag, s.source) == (tag, source)}


def test_steps_that_were_trained_again_are_there_once(tmp_path):
    losses = [(step, {"loss": float(step)}) for step in range(1, 6)]
    write(tmp_path, "100.host", *losses, (5, {"only_before": 1.0}), start=1)
    # Killed behind the checkpoint of step 3; this session trains 4 and 6, and has no event of 5.
    write(tmp_path, "200.host", (4, {"loss": 40.0}), (6, {"loss": 60.0}), start=4)
    found = event_files.read_scalars(str(tmp_path))
    assert values(found) == {1: 1.0, 2: 2.0, 3: 3.0, 4: 40.0, 6: 60.0}
    assert not values(found, "only_before")
    assert [s.wall_time for s in found] == [101.0, 102.0, 103.0, 104.0, 106.0]


def test_without_the_mark_of_a_restart_the_last_value_counts(tmp_path):
    write(tmp_path, "90.host", (1, {"loss": 1.0}), (2, {"loss": 2.0}))
    write(tmp_path, "100.host", (2, {"loss": 20.0}))
    assert values(event_files.read_scalars(str(tmp_path))) == {1: 1.0, 2: 20.0}


def test_evaluations_are_sources_of_their_own(tmp_path):
    write(tmp_path, "100.host", (1, {"loss": 1.0}), start=1)
    write(tmp_path / "eval" / "sotu_validation", "5.host.9.0", (1, {"primer_eval/nats": 2.0}))
    write(tmp_path / "eval", "5.host", (1, {"loss": 3.0}))
    write(tmp_path / "eval_task", "5.host", (1, {"loss": 4.0}))
    write(tmp_path / "best", "5.host", (1, {"loss": 5.0}))
    found = event_files.read_scalars(str(tmp_path))
    assert [(s.source, s.value) for s in found] == [
        ("train", 1.0),
        ("eval", 3.0),
        ("eval/sotu_validation", 2.0),
        ("eval_task", 4.0),
    ]


@pytest.mark.parametrize("kind", ["cut", "changed", "no event"])
def test_a_damaged_end_is_left_out_with_a_line(tmp_path, kind):
    path = write(tmp_path, "100.host", (1, {"loss": 1.0}), (2, {"loss": 2.0}), start=1)
    write(tmp_path, "200.host", (3, {"loss": 3.0}), start=3)
    content = bytearray(path.read_bytes())
    if kind == "cut":
        content = content[:-7]
    elif kind == "changed":
        content[-10] ^= 255
    else:
        with tf.io.TFRecordWriter(str(tmp_path / "part")) as file:
            file.write(b"\xff\xff\xff")
        content += (tmp_path / "part").read_bytes()
    path.write_bytes(content)
    lines = []
    found = values(event_files.read_scalars(str(tmp_path), lines.append))
    assert found == ({1: 1.0, 2: 2.0, 3: 3.0} if kind == "no event" else {1: 1.0, 3: 3.0})
    (line,) = lines
    assert str(path) in line and "damaged" in line and "left out" in line


def test_other_values_and_tensors(tmp_path):
    path = tmp_path / "events.out.tfevents.1.host"
    summary = tf.Summary()
    summary.value.add(tag="scalar", tensor=tf.make_tensor_proto(2.5))
    summary.value.add(tag="vector", tensor=tf.make_tensor_proto([1.0, 2.0]))
    summary.value.add(tag="text", tensor=tf.make_tensor_proto("words"))
    summary.value.add(tag="histogram", histo=tf.HistogramProto(num=1))
    summary.value.add(tag="nan", simple_value=math.nan)
    with tf.io.TFRecordWriter(str(path)) as file:
        file.write(tf.Event(step=1, summary=summary).SerializeToString())
    found = event_files.read_scalars(str(tmp_path))
    assert [s.tag for s in found] == ["nan", "scalar"] and found[1].value == 2.5


def test_files_of_the_writers_of_training(tmp_path):
    writer = session.event_writer(str(tmp_path / "eval" / "x"))
    session.drop_events_from(writer, 1)
    writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="a", simple_value=0.5)]), 3)
    writer.close()
    (found,) = event_files.read_scalars(str(tmp_path))
    assert found[:4] == ("eval/x", 3, "a", 0.5) and found.wall_time > 1e9


def test_a_directory_without_events_is_one_error_line(tmp_path):
    with pytest.raises(UsageError, match="there is no such directory"):
        event_files.read_scalars(str(tmp_path / "none"))
    with pytest.raises(UsageError, match="has no event file"):
        event_files.read_scalars(str(tmp_path))
