"""Whatever a library raises over a damaged file is one line for the user."""

import struct

import pytest

from autods.core import UserError
from autods.io.foreign import read_by_library

COMPLAINT = "file is no mask"


@pytest.mark.parametrize("error", [EOFError("no data"), struct.error("unpack"), IndexError("out of range")])
def test_any_error_becomes_one_line(error):
    with pytest.raises(UserError) as raised, read_by_library(COMPLAINT):
        raise error
    assert str(raised.value) == f"{COMPLAINT}: {error}"
    assert raised.value.__cause__ is error


def test_an_error_without_words_is_named():
    with pytest.raises(UserError, match=f"^{COMPLAINT}: EOFError$"), read_by_library(COMPLAINT):
        raise EOFError


def test_an_interrupt_stays_one():
    with pytest.raises(KeyboardInterrupt), read_by_library(COMPLAINT):
        raise KeyboardInterrupt
