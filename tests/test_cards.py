"""Cards: brands, Luhn, expiry, and that they mask themselves."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import marshal
import pickle
import pprint
import reprlib
import traceback
import weakref
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr_sim.call import Entry, Typed
from ivr_sim.cards import Card, CardNumber, Expiry, InvalidCard, SecurityCode, brand_of, luhn

VISA = "4111111111111111"
TODAY = date(2026, 11, 23)


# The ranges of the first digits, as their owners publish them; Carnet's as other payment libraries have them.
RANGES = [
    ("34", "34", "american_express"), ("37", "37", "american_express"),
    ("4", "4", "visa"), ("51", "55", "mastercard"), ("2221", "2720", "mastercard"),
    ("286900", "286900", "carnet"), ("502275", "502275", "carnet"), ("506199", "506499", "carnet"),
    ("588772", "588772", "carnet"), ("60462203", "60462204", "carnet"), ("606333", "606333", "carnet"),
    ("627535", "627535", "carnet"), ("636318", "636318", "carnet"), ("636379", "636379", "carnet"),
    ("639388", "639388", "carnet"), ("639484", "639484", "carnet"), ("639559", "639559", "carnet"),
]  # fmt: skip


def named(first: str, last: str, digits: str) -> bool:
    return int(first) <= int(digits[: len(first)]) <= int(last)


def number(head: str, length: int) -> str:
    """A number that begins so and passes Luhn."""
    payload = head.ljust(length - 1, "0")
    return next(payload + c for c in "0123456789" if luhn(payload + c))


@pytest.mark.parametrize(("first", "last", "brand"), RANGES)
def test_a_brand_is_told_by_the_first_digits_as_soon_as_they_are_there(first, last, brand):
    """At both ends of each range, and not by one digit less, nor by the numbers beside it."""
    for head in (first, last):
        assert brand_of(head).name == brand
        assert brand_of(head[:-1]).name == "other"
        assert brand_of(head + "9" * 10).name == brand
    for beside in (int(first) - 1, int(last) + 1):
        head = str(beside)
        if not any(named(a, b, head.ljust(8, "0")) for a, b, _ in RANGES):
            assert brand_of(head + "0" * 10).name == "other"


@pytest.mark.parametrize(("first", "last", "brand"), RANGES)
def test_the_lengths_of_a_brands_numbers(first, last, brand):
    length = 15 if brand == "american_express" else 16
    for head in (first, last):
        whole = CardNumber(number(head, length))
        assert whole.brand.name == brand
        assert whole.brand.cvv == (4 if brand == "american_express" else 3)
        assert [CardNumber.complete(number(head, n)) for n in range(12, 20)] == [
            n == length for n in range(12, 20)
        ]
        for n in set(range(12, 20)) - {length}:
            with pytest.raises(InvalidCard) as refused:
                CardNumber(number(head, n))
            assert refused.value.reason == ("too_short" if n < length else "too_long")


@pytest.mark.parametrize("head", ["6011", "65", "3528", "36", "30", "62", "6759", "81", "9792", "1"])
def test_other_cards_have_13_to_19_digits_and_no_length_tells_them_whole(head):
    assert brand_of(head).name == "other"
    for n in range(13, 20):
        assert CardNumber(number(head, n)).brand.name == "other"
        assert not CardNumber.complete(number(head, n))
    for n, reason in ((12, "too_short"), (20, "too_long")):
        with pytest.raises(InvalidCard, match=reason):
            CardNumber(number(head, n))


@given(st.text("0123456789", max_size=19))
def test_more_digits_never_unsettle_a_brand(digits):
    told = [brand_of(digits[:n]).name for n in range(len(digits) + 1)]
    assert told[0] == "other"
    assert len({name for name in told if name != "other"}) <= 1
    assert told == sorted(told, key=lambda name: name != "other")


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
    [("1025", "expired"), ("1026", "expired"), ("1327", "month"), ("0027", "month"), ("9927", "month"),
     ("112", "expiry_length"), ("", "expiry_length"), ("11266", "expiry_length"),
     ("１１２７", "expiry_length"), ("1A27", "expiry_length"), ("1200", "expired"),
     ("1147", "too_far"), ("0147", "too_far"), ("1299", "too_far")],
)  # fmt: skip
def test_wrong_expiries(digits, reason):
    with pytest.raises(InvalidCard) as refused:
        Expiry.keyed(digits, TODAY)
    assert refused.value.reason == reason
    assert not digits or digits not in str(refused.value)


@pytest.mark.parametrize(
    ("digits", "year", "month"),
    [("1126", 2026, 11), ("1226", 2026, 12), ("0130", 2030, 1), ("1146", 2046, 11), ("1246", 2046, 12)],
)
def test_expiries(digits, year, month):
    assert Expiry.keyed(digits, TODAY) == Expiry(year, month)


@given(st.dates(date(2020, 1, 1), date(2075, 12, 31)), st.integers(1, 12), st.integers(0, 99))
def test_a_card_is_good_to_the_last_day_of_its_month_and_20_years_ahead(today, month, year):
    past, far = (2000 + year, month) < (today.year, today.month), 2000 + year > today.year + 20
    if past or far:
        with pytest.raises(InvalidCard, match="expired" if past else "too_far"):
            Expiry.keyed(f"{month:02}{year:02}", today)
    else:
        expiry = Expiry.keyed(f"{month:02}{year:02}", today)
        assert (expiry.year, expiry.month) == (2000 + year, month)
        assert today < date(expiry.year + month // 12, month % 12 + 1, 1)


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
    entry = Entry(Typed(VISA), "complete")
    return [number, code, card, card.expiry, Typed(VISA), entry, Typed("987")]


def shown(secret: object) -> list[str]:
    """All that a program may make of a value without asking it for its digits."""
    return [
        str(secret), repr(secret), f"{secret}", f"{secret!s} {secret!r}", f"{secret!s:>40}", format(secret),
        "%s %r" % (secret, secret), "{0} {0!r}".format(secret), ascii(secret), repr([secret]),  # noqa: UP031, UP032
        repr({"card": secret}), pprint.pformat(secret), pprint.pformat({"card": [secret]}),
        json.dumps({"card": secret}, default=str), json.dumps({"card": secret}, default=repr),
        reprlib.repr(secret), str(ValueError(secret)), repr(ValueError(secret)),
        str(getattr(secret, "__dict__", "")), "".join(traceback.format_exception(ValueError(secret))),
    ]  # fmt: skip


@pytest.mark.parametrize("secret", secrets(), ids=lambda s: type(s).__name__)
def test_nothing_but_reveal_gives_the_digits(secret, caplog):
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("%s %r", secret, secret)
    for text in [*shown(secret), caplog.text]:
        for leak in ("411111", "1111", "987", "2028", "12)", "=12"):
            assert leak not in text


# How else a value could be written down, or be taken along.
TAKEN = [
    json.dumps, pickle.dumps, copy.copy, copy.deepcopy, bytes, bytearray, int, float, list, iter, memoryview,
    "".join, dataclasses.asdict, dataclasses.astuple, vars, hash, weakref.ref, marshal.dumps,
    lambda secret: pickle.dumps(secret, protocol=0), lambda secret: "%d" % secret,  # noqa: UP031
    lambda secret: secret < secret, lambda secret: secret + "", lambda secret: secret[0],
    lambda secret: "4" in secret, lambda secret: setattr(secret, "note", "4"),
]  # fmt: skip


@pytest.mark.parametrize("secret", secrets(), ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("take", TAKEN)
def test_nothing_else_can_be_made_of_them(secret, take):
    """It is refused; or what comes out shows nothing: it holds the same masked values."""
    try:
        texts = shown(take(secret))
        assert isinstance(secret, Entry | Card)
    except (TypeError, AttributeError, ValueError) as refused:
        texts = [str(refused)]
    for text in texts:
        assert not any(leak in text for leak in ("411111", "1111", "987", "2028"))


def test_the_parts_of_a_card_are_hashed_compared_and_copied_by_nobody():
    card = secrets()[2]
    for part in (card.number, card.expiry, card.security_code, card):
        with pytest.raises(TypeError):
            hash(part)
        with pytest.raises(TypeError):
            copy.deepcopy(part)
        with pytest.raises(TypeError):
            pickle.dumps(part)
    with pytest.raises(TypeError):
        dataclasses.asdict(card)


def keyed_expiry(keyed: str) -> Expiry:
    return Expiry.keyed(keyed, TODAY)


def keyed_code(keyed: str) -> SecurityCode:
    return SecurityCode(keyed, brand_of(VISA))


@pytest.mark.parametrize(
    ("make", "keyed"), [(CardNumber, "4111111111111112"), (keyed_expiry, "1020"), (keyed_code, "98765")]
)
def test_a_refusal_does_not_repeat_what_was_keyed(make, keyed):
    with pytest.raises(InvalidCard) as refused:
        make(keyed)
    error = refused.value
    assert keyed not in "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


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
