"""gin's configuration is empty inside the block and as before afterwards."""

import gin
import pytest

from primer.gin_config import gin_state, isolation


@gin.configurable(module="isolation_test")
def isolated_size(size=1):
    return size


@gin.configurable(module="isolation_test")
class IsolatedUnit:
    pass


def test_everything_that_gin_clears_is_saved_and_restored():
    gin.parse_config(["import string", "isolated_size.size = @gin.singleton()"])
    gin.parse_config(["gin.singleton.constructor = @IsolatedUnit"])
    with gin.config_scope("one"):
        first = isolated_size()
    gin.finalize()
    config, operative = gin.config_str(), gin.operative_config_str()
    with isolation.isolated():
        assert not gin_state.bindings() and not gin_state.recorded_calls()
        assert not gin.config_is_locked() and gin.config_str() == ""
        gin.parse_config(["isolated_size.size = 7"])
        assert isolated_size() == 7
    assert gin.config_str() == config and "import string" in config
    assert gin.operative_config_str() == operative and gin.config_is_locked()
    with gin.config_scope("one"):
        assert isolated_size() is first, "the singleton"


def test_an_unlocked_configuration_stays_unlocked_when_the_block_fails():
    gin.parse_config(["isolated_size.size = 5"])
    with pytest.raises(KeyError), isolation.isolated():
        gin.finalize()
        raise KeyError
    assert not gin.config_is_locked() and isolated_size() == 5
