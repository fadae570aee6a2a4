import gc

import pytest

from reconciler.bulk import bulk


def test_the_collector_rests_during_the_block_and_goes_on_after_it():
    with bulk():
        assert not gc.isenabled()
        with bulk():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_an_error_too():
    with pytest.raises(ZeroDivisionError), bulk():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_who_had_it_off_finds_it_off():
    gc.disable()
    try:
        with bulk():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
