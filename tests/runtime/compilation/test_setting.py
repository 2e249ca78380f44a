"""The setting `compile.xla`."""

import gin
import pytest
import tensorflow.compat.v1 as tf

from primer.errors import UsageError
from primer.runtime.compilation import setting


def bind(value):
    with gin.unlock_config():
        gin.bind_parameter("compile.xla", value)


@pytest.mark.parametrize(
    "gpus, devices, expected",
    [
        ([], None, False),
        ([], ["cpu:0", "cpu:1"], False),
        (["gpu"], None, True),
        (["gpu"], [""], True),
        (["gpu"], ["cpu:0"], False),
        (["gpu"], ["gpu:0", "gpu:1"], True),
        ([], ["/job:worker/task:0/device:GPU:0", "/job:worker/task:1/device:GPU:0"], True),
    ],
)
def test_auto_is_on_for_gpus_alone(monkeypatch, gpus, devices, expected):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    assert setting.is_on(devices) is expected
    bind(not expected)
    assert setting.is_on(devices) is not expected


@pytest.mark.parametrize("value", ["on", 1, None])
def test_another_value_is_an_error(value):
    bind(value)
    with pytest.raises(UsageError, match="compile.xla = .*expected one of 'auto', True, False"):
        setting.is_on(None)
