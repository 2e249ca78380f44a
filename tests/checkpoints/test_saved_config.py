"""The gin file of a model directory."""

import pytest
import tensorflow as tf

from primer.checkpoints import saved_config
from primer.errors import UsageError


def test_config_gin_comes_before_the_operative_one(tmp_path):
    for name in ("operative_config.gin", "config.gin"):
        (tmp_path / name).write_text("")
        assert saved_config.config_file(str(tmp_path)) == str(tmp_path / name)


def test_a_remote_directory(request):
    folder = f"ram://{request.node.name}"
    tf.io.gfile.makedirs(folder)
    with tf.io.gfile.GFile(f"{folder}/operative_config.gin", "w") as file:
        file.write("x = 1\n")
    assert saved_config.config_file(folder) == f"{folder}/operative_config.gin"
    with pytest.raises(UsageError, match="there is no such directory"):
        saved_config.config_file(f"{folder}_else")


def test_a_directory_without_it_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="neither config.gin nor operative_config.gin"):
        saved_config.config_file(str(tmp_path))
    with pytest.raises(UsageError, match="there is no such directory"):
        saved_config.config_file(str(tmp_path / "nowhere"))
