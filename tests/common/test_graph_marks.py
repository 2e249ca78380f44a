"""Marks belong to one graph."""

import tensorflow.compat.v1 as tf

from primer.common import graph_marks


def test_the_mark_is_in_the_default_graph_alone():
    with tf.Graph().as_default() as graph:
        assert not graph_marks.forbids_token_dropping()
        graph_marks.forbid_token_dropping()
        graph_marks.forbid_token_dropping()
        assert graph_marks.forbids_token_dropping()
        with tf.Graph().as_default():
            assert not graph_marks.forbids_token_dropping()
    assert graph.get_collection("primer/route_without_dropping") == [True]


def test_a_remark_is_no_caveat():
    with tf.Graph().as_default():
        graph_marks.add_remark("a")
        graph_marks.add_remark("a")
        assert graph_marks.remarks() == ["a"] and graph_marks.caveats() == []


def test_a_caveat_is_added_once_and_in_order():
    with tf.Graph().as_default():
        assert graph_marks.caveats() == []
        for sentence in ("b", "a", "b"):
            graph_marks.add_caveat(sentence)
        assert graph_marks.caveats() == ["b", "a"]
        with tf.Graph().as_default():
            assert graph_marks.caveats() == []


def test_the_number_of_layers_is_that_of_the_last_model():
    with tf.Graph().as_default():
        assert graph_marks.residual_layers() is None
        graph_marks.set_residual_layers(4)
        graph_marks.set_residual_layers(6)
        assert graph_marks.residual_layers() == 6


def test_blocks_left_out():
    with tf.Graph().as_default():
        assert not graph_marks.leaves_out_blocks()
        graph_marks.leave_out_blocks()
        assert graph_marks.leaves_out_blocks()


def test_a_normalized_output_is_that_of_the_last_layer():
    with tf.Graph().as_default():
        assert not graph_marks.has_normalized_output()
        graph_marks.set_normalized_output(True)
        assert graph_marks.has_normalized_output()
        graph_marks.set_normalized_output(False)
        assert not graph_marks.has_normalized_output()
