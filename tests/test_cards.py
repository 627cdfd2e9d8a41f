"""Cards: brands, Luhn, expiry, and that they mask themselves."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr_sim.call import Entry, Typed
from ivr_sim.cards import Card, CardNumber, Expiry, InvalidCard, SecurityCode, brand_of, luhn

VISA = "4111111111111111"
TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("digits", "brand"),
    [
        (VISA, "visa"), ("4242424242424242", "visa"),
        ("5555555555554444", "mastercard"), ("5105105105105100", "mastercard"),
        ("2221000000000009", "mastercard"), ("2720990000000007", "mastercard"),
        ("345678000000007", "american_express"), ("371449635398431", "american_express"),
        ("5062990000000000", "carnet"), ("6011111111111117", "other"), ("", "other"), ("22", "other"),
    ],
)  # fmt: skip
def test_brands(digits, brand):
    assert brand_of(digits).name == brand


@pytest.mark.parametrize("digits", [VISA, "345678000000007", "5555555555554444", "4222222222222220"])
def test_luhn_accepts_test_cards(digits):
    assert luhn(digits)


@given(st.text("0123456789", min_size=12, max_size=18))
def test_luhn_accepts_exactly_one_check_digit(payload):
    assert sum(luhn(payload + c) for c in "0123456789") == 1


@given(st.integers(0, 15), st.integers(1, 9))
def test_luhn_refuses_every_single_wrong_digit(place, by):
    digits = VISA[:place] + str((int(VISA[place]) + by) % 10) + VISA[place + 1 :]
    assert not luhn(digits)


@pytest.mark.parametrize("text", ["", "4111 1111", "４１１１", "abc"])
def test_luhn_and_numbers_take_ascii_digits_only(text):
    assert not luhn(text)
    with pytest.raises(InvalidCard):
        CardNumber(text)


@pytest.mark.parametrize(
    ("digits", "reason"),
    [
        ("4111111111111112", "luhn"), ("411111111111111", "too_short"), (VISA + "1", "too_long"),
        ("3411111111111111", "too_long"), ("60111111", "too_short"), ("6" * 20, "too_long"),
    ],
)  # fmt: skip
def test_wrong_numbers(digits, reason):
    with pytest.raises(InvalidCard) as refused:
        CardNumber(digits)
    assert refused.value.reason == reason
    assert digits not in str(refused.value)


@pytest.mark.parametrize(
    ("digits", "complete"),
    [(VISA, True), (VISA[:15], False), ("345678000000007", True), ("6011111111111117", False)],
)
def test_where_the_length_tells_that_a_number_is_whole(digits, complete):
    assert CardNumber.complete(digits) is complete


@given(st.text("0123456789*#ABCD", max_size=20))
def test_whatever_a_keypad_has_makes_no_error(keys):
    """Telephones send A to D as events too."""
    brand_of(keys)
    CardNumber.complete(keys)


@pytest.mark.parametrize(
    ("digits", "reason"),
    [("1025", "expired"), ("1026", "expired"), ("1327", "month"), ("0027", "month"), ("112", "expiry_length"),
     ("11266", "expiry_length"), ("1147", "too_far")],
)  # fmt: skip
def test_wrong_expiries(digits, reason):
    with pytest.raises(InvalidCard) as refused:
        Expiry.keyed(digits, TODAY)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("digits", "year", "month"), [("1126", 2026, 11), ("0130", 2030, 1), ("1146", 2046, 11)]
)
def test_expiries(digits, year, month):
    assert Expiry.keyed(digits, TODAY) == Expiry(year, month)


def test_security_codes_have_their_brands_length():
    assert SecurityCode("123", brand_of(VISA)).reveal() == "123"
    assert SecurityCode("1234", brand_of("34")).reveal() == "1234"
    for digits, brand in (("1234", brand_of(VISA)), ("123", brand_of("34")), ("12a", brand_of(VISA))):
        with pytest.raises(InvalidCard, match="cvv_length"):
            SecurityCode(digits, brand)


def secrets() -> list[object]:
    number = CardNumber(VISA)
    code = SecurityCode("987", number.brand)
    card = Card(number, Expiry(2028, 12), code)
    return [number, code, card, Typed(VISA), Entry(Typed(VISA), "complete"), Typed("987")]


@pytest.mark.parametrize("secret", secrets(), ids=lambda s: type(s).__name__)
def test_nothing_but_reveal_gives_the_digits(secret, caplog):
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("%s %r", secret, secret)
    texts = [str(secret), repr(secret), f"{secret}", format(secret), caplog.text, repr([secret])]
    texts.append(str(getattr(secret, "__dict__", "")))
    for text in texts:
        for leak in ("411111", "1111", "987", "2028"):
            assert leak not in text
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        pickle.dumps(secret)


@pytest.mark.parametrize("secret", secrets(), ids=lambda s: type(s).__name__)
def test_copies_are_refused_or_as_secret(secret):
    try:
        twin = copy.deepcopy(secret)
    except TypeError:
        return
    assert "1111" not in repr(twin)


def test_comparison():
    assert CardNumber(VISA) == CardNumber(VISA)
    assert CardNumber(VISA) != CardNumber("4242424242424242")
    assert CardNumber(VISA) != VISA
    with pytest.raises(TypeError):
        hash(CardNumber(VISA))


def test_one_of_known_numbers():
    number = CardNumber(VISA)
    assert number.is_one_of(["4242424242424242", VISA])
    assert number.is_one_of(iter([VISA, "4242424242424242"]))
    assert not number.is_one_of(["4242424242424242", VISA[:15], VISA + "0"])
    assert not number.is_one_of([])
