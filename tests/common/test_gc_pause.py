"""The collector is off inside a block, and afterwards as it was before."""

import gc

import pytest

from primer.common import gc_pause


@pytest.fixture(autouse=True)
def enabled():
    gc.enable()
    yield
    gc.unfreeze()
    gc.enable()


def test_the_collector_is_off_inside_the_block():
    with pytest.raises(ValueError), gc_pause.paused():
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    with gc_pause.paused(), gc_pause.paused():
        pass
    assert not gc.isenabled()


def test_existing_objects_are_frozen():
    before = gc.get_freeze_count()
    gc_pause.freeze_existing()
    assert gc.get_freeze_count() > before
