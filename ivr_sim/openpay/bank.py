"""The bank behind the stand-in: which test cards there are, and what each of them does.

No number that is not listed here is taken, so that a real card keyed by mistake goes nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TEST_CARDS", "TestCard", "card_named", "card_of", "is_test_card"]


@dataclass(frozen=True)
class TestCard:
    """A test card: its number, and the error code with which the bank declines it (None: approved).

    name: what stands for the card wherever something is kept of it; it never changes. ``ours``: Openpay
    documents no card for this; the number was made up here, and no sandbox knows it.
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    name: str
    number: str
    brand: str
    error_code: int | None
    note: str
    ours: bool = False

    @property
    def masked(self) -> str:
        """The first six and the last four digits, X between, as the API shows it: 411111XXXXXX1111."""
        return self.number[:6] + "X" * (len(self.number) - 10) + self.number[-4:]


# Openpay's testing page, checked against the tests of its SDKs. Numbers of ours that decline carry their
# error code before the check digit. All pass Luhn; any future date and any CVV of the right length do.
TEST_CARDS = (
    TestCard("visa-approved", "4111111111111111", "visa", None, "approved"),
    TestCard("visa-approved-2", "4242424242424242", "visa", None, "approved"),
    TestCard("mastercard-approved", "5555555555554444", "mastercard", None, "approved"),
    TestCard("mastercard-approved-2", "5105105105105100", "mastercard", None, "approved"),
    TestCard("amex-approved", "345678000000007", "american_express", None, "approved"),
    TestCard("amex-approved-2", "341111111111111", "american_express", None, "approved"),
    TestCard("amex-approved-3", "343434343434343", "american_express", None, "approved"),
    TestCard("visa-declined", "4222222222222220", "visa", 3001, "declined"),
    TestCard("visa-expired", "4000000000000069", "visa", 3002, "expired at the bank"),
    TestCard("visa-no-funds", "4444444444444448", "visa", 3003, "not enough funds"),
    TestCard("visa-stolen", "4000000000000119", "visa", 3004, "reported stolen"),
    TestCard("visa-fraud", "4000000000000044", "visa", 3005, "fraud risk"),
    TestCard("mastercard-fraud", "5454545454545454", "mastercard", 3005, "fraud risk without 3D Secure"),
    TestCard("carnet-approved", "5061990000000007", "carnet", None, "approved", ours=True),
    TestCard("visa-not-allowed", "4000000000030066", "visa", 3006, "request not allowed", ours=True),
    TestCard("visa-not-online", "4000000000030082", "visa", 3008, "not supported online", ours=True),
    TestCard("visa-lost", "4000000000030090", "visa", 3009, "reported lost", ours=True),
    TestCard("visa-restricted", "4000000000030108", "visa", 3010, "restricted by the bank", ours=True),
    TestCard("visa-retained", "4000000000030116", "visa", 3011, "to be retained", ours=True),
    TestCard("visa-ask-the-bank", "4000000000030124", "visa", 3012, "bank authorization required", ours=True),
)

_BY_NUMBER = {card.number: card for card in TEST_CARDS}
_BY_NAME = {card.name: card for card in TEST_CARDS}


def card_of(digits: str) -> TestCard | None:
    """The test card with this number, or None."""
    return _BY_NUMBER.get(digits)


def card_named(name: str) -> TestCard:
    """The test card of this name. Raises KeyError."""
    return _BY_NAME[name]


def is_test_card(digits: str) -> bool:
    """Whether these digits are the number of a listed test card."""
    return digits in _BY_NUMBER
