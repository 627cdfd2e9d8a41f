"""The test cards, and the table of errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ivr_sim.cards import CardNumber, SecurityCode, brand_of
from ivr_sim.openpay import ERRORS, TEST_CARDS, OpenpayError, TestCard, is_card_error, is_test_card
from ivr_sim.openpay.bank import card_named

CARDS = Path(__file__).parents[2] / "fixtures" / "cards.yaml"


@pytest.mark.parametrize("card", TEST_CARDS, ids=lambda card: card.number)
def test_every_test_card_is_a_card_that_a_caller_can_key(card: TestCard) -> None:
    number = CardNumber(card.number)
    assert brand_of(card.number).name == card.brand
    assert SecurityCode("7391"[: number.brand.cvv], number.brand)
    assert card.error_code is None or is_card_error(card.error_code)
    assert card.error_code is None or card.error_code in ERRORS
    assert is_test_card(card.number)


def test_numbers_and_names_are_listed_once() -> None:
    assert len({card.number for card in TEST_CARDS}) == len(TEST_CARDS)
    assert len({card.name for card in TEST_CARDS}) == len(TEST_CARDS)


@pytest.mark.parametrize("card", TEST_CARDS, ids=lambda card: card.name)
def test_a_name_holds_no_part_of_the_number(card: TestCard) -> None:
    assert card_named(card.name) is card
    assert re.fullmatch("(visa|mastercard|amex|carnet)(-[a-z0-9]{1,10})+", card.name)
    assert card.name.startswith(card.brand.replace("american_express", "amex"))


def test_the_fixtures_know_the_cards_by_the_same_names() -> None:
    fixtures = yaml.safe_load(CARDS.read_text())
    assert fixtures
    for name, card in fixtures.items():
        assert card_named(name).number == card["number"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("visa-approved", "411111XXXXXX1111"),
        ("mastercard-fraud", "545454XXXXXX5454"),
        ("amex-approved", "345678XXXXX0007"),
    ],
)
def test_masks(name: str, shown: str) -> None:
    assert card_named(name).masked == shown


@pytest.mark.parametrize(
    "digits", ["", "4012888888881881", "411111111111111", "4111111111111111 ", "４１１１"]
)
def test_other_numbers_are_no_test_cards(digits: str) -> None:
    assert not is_test_card(digits)


def test_every_brand_has_a_card_that_is_approved() -> None:
    approved = {card.brand for card in TEST_CARDS if card.error_code is None}
    assert approved == {"visa", "mastercard", "american_express", "carnet"}


@pytest.mark.parametrize("code", ERRORS)
def test_every_error_has_its_object(code: int) -> None:
    kind = ERRORS[code]
    assert kind.code == code
    assert 400 <= kind.http < 600
    assert (kind.category == "internal") == (code in (1000, 1004))
    assert OpenpayError(code).as_json("r-1") == {
        "category": kind.category,
        "description": kind.text,
        "http_code": kind.http,
        "error_code": code,
        "request_id": "r-1",
    }


def test_documented_statuses() -> None:
    documented = {
        1000: 500, 1001: 400, 1002: 401, 1003: 422, 1004: 503, 1005: 404, 1006: 409, 1007: 402, 1008: 423,
        1009: 413, 1010: 403, 2004: 422, 2005: 400, 2006: 400, 2007: 412, 2008: 412, 2009: 412, 3001: 402,
        3002: 402, 3003: 402, 3004: 402, 3005: 402, 3006: 412, 3008: 412, 3009: 402, 3010: 402, 3011: 402,
        3012: 412,
    }  # fmt: skip
    assert {code: kind.http for code, kind in ERRORS.items() if not kind.ours} == documented


def test_card_errors() -> None:
    assert [code for code in (*ERRORS, None, 2003, 2012, 4001) if is_card_error(code)] == [
        code for code in ERRORS if code >= 2004 or code == 1007
    ]
