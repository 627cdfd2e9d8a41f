"""Digits one by one, and a merchant's own words made fit to be said."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.prompts.wording import digits_in_words, spoken


def test_digits_one_by_one() -> None:
    assert digits_in_words("012345") == "cero, uno, dos, tres, cuatro, cinco"
    assert digits_in_words("6789") == "seis, siete, ocho, nueve"
    assert digits_in_words("801585", "en") == "eight, zero, one, five, eight, five"


def test_letters_are_named_and_the_rest_passed_over() -> None:
    assert digits_in_words("A1-ñZ w") == "a, uno, eñe, zeta, doble u"
    assert digits_in_words("a1", "en") == "A, one"
    assert digits_in_words(" -#*") == ""
    assert digits_in_words("٣²½") == ""  # digits to Unicode, none to a telephone


def test_every_letter_has_a_name() -> None:
    names = digits_in_words("abcdefghijklmnñopqrstuvwxyz").split(", ")
    assert len(set(names)) == 27


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Cargo IVR", "Cargo IVR"),
        ("PAGO DE LUZ CFE", "pago de luz CFE"),
        ("Recibo TELMEX de mayo", "Recibo telmex de mayo"),
        ("ord-1 <volume level=\"10\">x</volume>", "ord uno x"),
        ("a < b > c", "a c"),
        ("<<>><", ""),
        ("Renta $1,250.30 MXN de mayo", "Renta mil doscientos cincuenta pesos con treinta centavos de mayo"),
        ("$ 5", "cinco pesos"),
        ("$1,000,000.00", "un millón de pesos"),
        ("12 USD", "doce dólares"),
        ("$0.00", "cero punto cero, cero"),
        ("$9,999,999,999", "nueve, nueve, nueve, nueve, nueve, nueve, nueve, nueve, nueve, nueve"),
        ("200.50", "doscientos punto cincuenta"),
        ("Factura A-000123 (2 de 3)", "Factura A cero, cero, cero, uno, dos, tres, dos de tres"),
        ("tel 5512345678", "tel cinco, cinco, uno, dos, tres, cuatro, cinco, seis, siete, ocho"),
        ("Comercializadora S.A. de C.V.", "Comercializadora S A de C V"),
        ("50% de desc. & más + 1", "cincuenta por ciento de desc. y más más uno"),
        ("23/11/2026", "veintitrés, once, dos mil veintiséis"),
        ("10:30 hrs", "diez, treinta hrs"),
        ("visite https://shop.example/x?y=1 ya", "visite ya"),
        ("www.example.com", ""),
        ("escriba a ana@example.com hoy", "escriba a hoy"),
        ("l\u00ednea\r\nuno\x00dos\x1b[31m", "línea uno dos treinta y uno m"),
        ("cafe\u0301 zo\u200bna", "café zona"),
        ("\ud800 \U0001f600 \u4f60", ""),
        ("...", ""),
        ("Pago.", "Pago"),
        ("{amount} %s", "amount por ciento s"),
        ("", ""),
    ],
)  # fmt: skip
def test_spanish_wordings(written: str, said: str) -> None:
    assert spoken(written) == said


def test_english_wordings() -> None:
    assert spoken("Order #12 & $3.50 @ 5%", "en") == (
        "Order number twelve and three pesos and fifty centavos at five percent"
    )


def test_a_long_text_is_cut_at_a_word() -> None:
    said = spoken("palabra " * 100)
    assert 200 < len(said) <= 250
    assert set(said.split()) == {"palabra"}


def test_a_flood_of_figures_is_cut_too() -> None:
    assert len(spoken("7" * 100_000)) <= 400
    assert set(spoken("7" * 100_000).split(", ")) == {"siete"}


def test_a_text_without_spaces_is_cut_anyhow() -> None:
    assert len(spoken("a" * 10_000)) == 250


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=600) | st.text(alphabet="<>@.,$0123456789ABE/:- http", max_size=600))
def test_whatever_is_written_can_be_said(text: str) -> None:
    for language in ("es", "en"):
        said = spoken(text, language)  # type: ignore[arg-type]
        assert len(said) <= 400
        assert said == said.strip(" ,.")
        assert not set('<>{}&@%#$/\\0123456789\n\r\t"') & set(said)
        said.encode()
