"""The mode and device of the graph under construction."""

import pytest
import tensorflow.compat.v1 as tf

from primer.common import build_mode, console, graph_marks


def state():
    return build_mode.mode(), build_mode.for_tpu(), build_mode.is_forward()


def test_blocks_nest_and_end_with_an_error():
    assert state() == ("none", False, False)
    with build_mode.building("train", for_tpu=1):
        assert state() == ("train", True, False)
        with pytest.raises(ValueError), build_mode.building("eval"):
            assert state() == ("eval", False, True)
            raise ValueError
        assert state() == ("train", True, False)
    assert state() == ("none", False, False)


@pytest.mark.parametrize("mode, forward", [("train", False), ("eval", True), ("infer", True)])
def test_evaluation_and_inference_have_no_gradients(mode, forward):
    with build_mode.building(mode):
        assert build_mode.is_forward() is forward


def test_caveats_are_printed_once(capsys):
    console.say_once.cache_clear()
    with tf.Graph().as_default():
        graph_marks.add_caveat("Tokens may be dropped.")
        build_mode.say_caveats()
        build_mode.say_caveats()
    assert capsys.readouterr().err == "Tokens may be dropped.\n"
