"""The key of random draws and the hash that goes into them."""

import zlib

import tensorflow.compat.v1 as tf

from primer.common import random_seed


def test_the_hash_is_the_same_in_every_process():
    assert random_seed.stable_hash(0, "w") == zlib.crc32(b"0/w") & 0x7FFFFFFF
    assert random_seed.stable_hash(1, "w") != random_seed.stable_hash(0, "w")


def test_the_key_is_the_given_scalar_else_the_step_else_0():
    with tf.Graph().as_default():
        assert random_seed.step_key() == 0
        step = tf.train.get_or_create_global_step()
        assert random_seed.step_key() is step
        for _ in range(2):
            batch = tf.placeholder(tf.int64, [])
            random_seed.set_step_key(batch)
            assert random_seed.step_key() is batch
