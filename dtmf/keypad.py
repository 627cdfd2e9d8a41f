"""The keypad: sixteen keys, each the sum of one low and one high tone.

ITU-T Q.23: the row gives a frequency of the low group, the column one of the high group.

              1209   1336   1477   1633 Hz
     697 Hz     1      2      3      A
     770 Hz     4      5      6      B
     852 Hz     7      8      9      C
     941 Hz     *      0      #      D

A key's index is ``4 * row + column``, its place in ``KEYS_16``. Telephones have the first three columns;
a receiver that expects only those (``KEYS_12``) is deaf to whatever sounds like the fourth, and so is
misled by speech less often.
"""

from __future__ import annotations

from dtmf.errors import DtmfError

__all__ = ["HIGH_HZ", "KEYS_12", "KEYS_16", "LOW_HZ", "check_keys", "key_index", "key_tones"]

KEYS_16 = "123A456B789C*0#D"
KEYS_12 = "123456789*0#"

LOW_HZ = (697.0, 770.0, 852.0, 941.0)
HIGH_HZ = (1209.0, 1336.0, 1477.0, 1633.0)


def key_index(digit: str) -> int:
    """The place of a key in ``KEYS_16``; A to D in either case. Raises DtmfError for anything else."""
    index = KEYS_16.find(digit.upper()) if len(digit) == 1 else -1
    if index < 0:
        raise DtmfError(f"{digit!r} is no key of the keypad; the keys are 0-9, *, # and A-D")
    return index


def key_tones(digit: str) -> tuple[float, float]:
    """The low and the high frequency of a key, in Hz (ITU-T Q.23)."""
    row, column = divmod(key_index(digit), 4)
    return LOW_HZ[row], HIGH_HZ[column]


def check_keys(keys: str) -> frozenset[int]:
    """The indices of the keys to listen for. Raises DtmfError if there is none, or one that is no key."""
    if not keys:
        raise DtmfError("no keys to listen for; use KEYS_16, KEYS_12 or a part of them")
    return frozenset(key_index(digit) for digit in keys)
