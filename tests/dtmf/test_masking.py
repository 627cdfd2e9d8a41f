from __future__ import annotations

import pytest

from dtmf.masking import masked

VISA = "4111111111111111"  # a documented test card


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("", ""),
        ("123456#", "123456#"),
        (f"99#{VISA}#1230", f"99#{'•' * 16}#1230"),
        ("1" * 13, "1" * 13),
        ("411111*1111111111", "411111*1111111111"),
        ("378282246310005", "•" * 15),
        ("0" * 12, "0" * 12),
        ("0" * 40, "•" * 40),
        (f"A{VISA}B", f"A{'•' * 16}B"),
    ],
)
def test_what_is_masked(typed: str, shown: str) -> None:
    assert masked(typed) == shown


def test_a_card_among_other_digits_is_masked() -> None:
    shown = masked(f"0130{VISA}0130123")
    assert shown[4:20] == "•" * 16
    assert len(shown) == 27
