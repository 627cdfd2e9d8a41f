from __future__ import annotations

import re

import pytest

from dtmf import KEYS_12, KEYS_16, DtmfError
from dtmf.keypad import check_keys, key_index, key_tones

# ITU-T Q.23: key, low Hz, high Hz.
Q23 = """
1 697 1209   2 697 1336   3 697 1477   A 697 1633
4 770 1209   5 770 1336   6 770 1477   B 770 1633
7 852 1209   8 852 1336   9 852 1477   C 852 1633
* 941 1209   0 941 1336   # 941 1477   D 941 1633
"""


@pytest.mark.parametrize(("key", "low", "high"), re.findall(r"(\S) (\d+) (\d+)", Q23))
def test_tones_of_every_key(key: str, low: str, high: str) -> None:
    assert key_tones(key) == (float(low), float(high))
    assert KEYS_16[key_index(key)] == key


def test_keys_of_a_telephone() -> None:
    assert set(KEYS_16) - set(KEYS_12) == set("ABCD")
    assert check_keys(KEYS_12) == {i for i in range(16) if i % 4 != 3}


def test_letters_in_either_case() -> None:
    assert key_index("d") == key_index("D") == 15


@pytest.mark.parametrize("wrong", ["", "E", "12", " ", "٣", "²"])
def test_what_is_no_key(wrong: str) -> None:
    with pytest.raises(DtmfError, match="no key"):
        key_index(wrong)
    with pytest.raises(DtmfError):
        check_keys(wrong + "é")


def test_nothing_to_listen_for() -> None:
    with pytest.raises(DtmfError, match="no keys"):
        check_keys("")
