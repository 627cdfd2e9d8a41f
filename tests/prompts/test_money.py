"""Amounts in words against a table, num2words, and a reader that turns words back into numbers."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from num2words import num2words

from ivr_sim.errors import IvrSimError
from ivr_sim.prompts.money import AmountError, amount_in_words, cardinal

TABLE = [
    ("0.01", "un centavo", "one centavo"),
    ("0.02", "dos centavos", "two centavos"),
    ("0.21", "veintiún centavos", "twenty-one centavos"),
    ("0.50", "cincuenta centavos", "fifty centavos"),
    ("1", "un peso", "one peso"),
    ("1.00", "un peso", "one peso"),
    ("1.01", "un peso con un centavo", "one peso and one centavo"),
    ("16", "dieciséis pesos", "sixteen pesos"),
    ("21", "veintiún pesos", "twenty-one pesos"),
    ("22.22", "veintidós pesos con veintidós centavos", "twenty-two pesos and twenty-two centavos"),
    ("31", "treinta y un pesos", "thirty-one pesos"),
    ("100", "cien pesos", "one hundred pesos"),
    ("101", "ciento un pesos", "one hundred one pesos"),
    ("121.31", "ciento veintiún pesos con treinta y un centavos",
     "one hundred twenty-one pesos and thirty-one centavos"),
    ("200.00", "doscientos pesos", "two hundred pesos"),
    ("500", "quinientos pesos", "five hundred pesos"),
    ("700", "setecientos pesos", "seven hundred pesos"),
    ("900", "novecientos pesos", "nine hundred pesos"),
    ("1000", "mil pesos", "one thousand pesos"),
    ("1001", "mil un pesos", "one thousand one pesos"),
    ("1100", "mil cien pesos", "one thousand one hundred pesos"),
    ("2000", "dos mil pesos", "two thousand pesos"),
    ("21000", "veintiún mil pesos", "twenty-one thousand pesos"),
    ("21001.50", "veintiún mil un pesos con cincuenta centavos",
     "twenty-one thousand one pesos and fifty centavos"),
    ("31000", "treinta y un mil pesos", "thirty-one thousand pesos"),
    ("100000", "cien mil pesos", "one hundred thousand pesos"),
    ("101000", "ciento un mil pesos", "one hundred one thousand pesos"),
    ("999999.99", "novecientos noventa y nueve mil novecientos noventa y nueve pesos con noventa y nueve "
     "centavos", "nine hundred ninety-nine thousand nine hundred ninety-nine pesos and ninety-nine centavos"),
    ("1000000", "un millón de pesos", "one million pesos"),
    ("1000000.01", "un millón de pesos con un centavo", "one million pesos and one centavo"),
    ("1000001", "un millón un pesos", "one million one pesos"),
    ("1001000", "un millón mil pesos", "one million one thousand pesos"),
    ("2000000", "dos millones de pesos", "two million pesos"),
    ("21000000", "veintiún millones de pesos", "twenty-one million pesos"),
    ("100000000", "cien millones de pesos", "one hundred million pesos"),
    ("101000000", "ciento un millones de pesos", "one hundred one million pesos"),
    ("999999999.99", "novecientos noventa y nueve millones novecientos noventa y nueve mil novecientos "
     "noventa y nueve pesos con noventa y nueve centavos",
     "nine hundred ninety-nine million nine hundred ninety-nine thousand nine hundred ninety-nine pesos and "
     "ninety-nine centavos"),
]  # fmt: skip

SMALL = {cardinal(n): n for n in range(30)} | {"un": 1, "veintiún": 21}
TENS = {
    "treinta": 30, "cuarenta": 40, "cincuenta": 50, "sesenta": 60, "setenta": 70, "ochenta": 80,
    "noventa": 90,
}  # fmt: skip
HUNDREDS = {
    "cien": 100, "ciento": 100, "doscientos": 200, "trescientos": 300, "cuatrocientos": 400,
    "quinientos": 500, "seiscientos": 600, "setecientos": 700, "ochocientos": 800, "novecientos": 900,
}  # fmt: skip
NUMERALS = SMALL | TENS | HUNDREDS


def read(words: str) -> int:
    """What a listener makes of a Spanish number."""
    total = group = 0
    for word in words.split():
        if word in ("millón", "millones"):
            total, group = (total + group) * 1_000_000, 0
        elif word == "mil":
            total, group = total + (group or 1) * 1000, 0
        elif word != "y":
            group += (
                SMALL.get(word) or TENS.get(word) or HUNDREDS.get(word) or (0 if word == "cero" else 1 / 0)
            )
    return total + group


def read_amount(words: str) -> Decimal:
    """What a listener makes of an amount in pesos."""
    pesos, _, cents = words.partition(" con ") if "peso" in words else ("", "", words)
    whole = pesos.removesuffix(" pesos").removesuffix(" peso").removesuffix(" de")
    return (
        Decimal(read(whole)) + Decimal(read(cents.removesuffix(" centavos").removesuffix(" centavo"))) / 100
    )


@pytest.mark.parametrize(("amount", "spanish", "english"), TABLE, ids=[row[0] for row in TABLE])
def test_amounts_of_the_table(amount: str, spanish: str, english: str) -> None:
    assert amount_in_words(amount) == spanish
    assert amount_in_words(Decimal(amount)) == spanish
    assert amount_in_words(amount, language="en") == english


def test_dollars() -> None:
    assert amount_in_words("1.01", "USD") == "un dólar con un centavo"
    assert amount_in_words("21.50", "USD") == "veintiún dólares con cincuenta centavos"
    assert amount_in_words("1000000", "USD") == "un millón de dólares"
    assert amount_in_words("2.02", "USD", "en") == "two dollars and two cents"
    assert amount_in_words("1.01", "USD", "en") == "one dollar and one cent"


def expected_cardinal(number: int) -> str:
    """num2words' answer, with its one known fault mended: no apocope before ``mil`` and ``millones``."""
    words = num2words(number, lang="es")
    return words.replace("veintiuno mil", "veintiún mil").replace("uno mil", "un mil")


def test_cardinals_agree_with_num2words() -> None:
    chosen = random.Random(7)
    numbers = [*range(10_000), *(chosen.randrange(10 ** chosen.randint(4, 9)) for _ in range(10_000))]
    wrong = [(n, cardinal(n)) for n in numbers if cardinal(n) != expected_cardinal(n)]
    assert wrong == []
    english = [
        n for n in numbers
        if cardinal(n, "en") != num2words(n, lang="en").replace(",", "").replace(" and ", " ")
    ]  # fmt: skip
    assert english == []


def test_amounts_agree_with_num2words() -> None:
    chosen = random.Random(8)
    cents = [*range(101, 2500, 7), *(chosen.randrange(101, 10 ** chosen.randint(4, 8)) for _ in range(3000))]
    for amount in cents:
        if amount % 100 == 0:
            continue  # num2words always says "con cero centavos"
        theirs = num2words(amount, lang="es", to="currency", currency="MXN")  # an int is taken as cents
        theirs = theirs.replace("uno mil", "un mil").replace("veintiun mil", "veintiún mil")
        assert amount_in_words(Decimal(amount).scaleb(-2)) == theirs


@pytest.mark.parametrize(("currency", "cent"), [("MXN", "centavo"), ("USD", "cent")])
def test_english_amounts_agree_with_num2words(currency: str, cent: str) -> None:
    """But for its "and" within a number, its commas, and its cents of a peso."""
    chosen = random.Random(10)
    amounts = [*range(1, 2500), *(chosen.randrange(1, 10 ** chosen.randint(4, 11)) for _ in range(10_000))]
    amounts += [*range(100, 1_000_000, 4700), *(n * 10**8 for n in range(1, 1000, 37)), 100_000_100]
    for amount in amounts:
        theirs = num2words(amount, lang="en", to="currency", currency=currency, separator=" plus")
        pesos, _, cents = theirs.replace(" and ", " ").replace(",", "").partition(" plus ")
        cents = cents.replace("cent", cent)
        parts = [part for part in (pesos, cents) if not part.startswith("zero ")]
        assert amount_in_words(Decimal(amount).scaleb(-2), currency, "en") == " and ".join(parts)


def test_every_amount_is_heard_as_it_is() -> None:
    """All amounts to 99.99 with all cents, whole pesos to 9,999, and then at random up to the largest."""
    chosen = random.Random(9)
    cents = [*range(1, 10_000), *range(10_000, 1_000_000, 100)]
    cents += [chosen.randrange(1, 10 ** chosen.randint(6, 11)) for _ in range(10_000)]
    heard = set()
    for amount in cents:
        exact = Decimal(amount).scaleb(-2)
        words = amount_in_words(exact)
        assert read_amount(words) == exact
        assert "cero" not in words
        assert "uno" not in words.split()
        assert "  " not in words
        heard.add(words)
    assert len(heard) == len(set(cents))


@pytest.mark.parametrize("amount", range(1, 101))
def test_one_and_many(amount: int) -> None:
    words = amount_in_words(Decimal(amount))
    assert words.endswith(" peso" if amount == 1 else " pesos")
    if amount < 100:
        assert amount_in_words(Decimal(amount).scaleb(-2)).endswith(
            " centavo" if amount == 1 else " centavos"
        )


@pytest.mark.parametrize(
    "amount",
    ["0", "0.00", "-1", "0.001", "0.009", "1.005", "1000000000", "999999999.991", "1e999999", "1e-999999",
     "1.00000000000000000000000000000000000000001", "NaN", "sNaN", "Infinity", "-Infinity", "", "pesos",
     "1,000"],
)  # fmt: skip
def test_amounts_that_cannot_be_said(amount: str) -> None:
    with pytest.raises(AmountError):
        amount_in_words(amount)


@pytest.mark.parametrize("amount", [200, 200.0, None, True, b"200"])
def test_only_exact_types(amount: object) -> None:
    with pytest.raises(AmountError, match="type"):
        amount_in_words(amount)  # type: ignore[arg-type]


def test_unknown_currency_names_the_known_ones() -> None:
    with pytest.raises(AmountError, match="MXN, USD"):
        amount_in_words("1", "EUR")
    assert issubclass(AmountError, IvrSimError)


@pytest.mark.parametrize("number", [-1, 1_000_000_000, 1.0, True, "1"])
def test_numbers_that_cannot_be_said(number: object) -> None:
    with pytest.raises(AmountError):
        cardinal(number)  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.text())
def test_any_text_is_said_or_refused(text: str) -> None:
    try:
        words = amount_in_words(text)
    except AmountError:
        return
    assert read_amount(words) == Decimal(text)
