"""Every phrase has a text, every reason of the journal a sentence of its own, and mistakes are named."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from ivr_sim.call import Phrase, phrase
from ivr_sim.errors import IvrSimError
from ivr_sim.prompts.catalogue import LANGUAGES, BadPhrase, Catalogue, UnknownLanguage, UnknownPhrase
from ivr_sim.prompts.money import AmountError
from ivr_sim.prompts.template import Choice, fields_of, parameters_of

# What the dialogue says, with parameters as it gives them.
SAID = [
    phrase("welcome", merchant="Tienda Demo"),
    phrase("welcome"),
    phrase("ask_key"),
    phrase("bad_key", reason="luhn"),
    phrase("key_refused", description="La clave ya fue pagada."),
    phrase("key_refused", description=""),
    phrase("authorizer_failed"),
    phrase("amount", amount=Decimal("200.00"), description="Cargo IVR", currency="MXN"),
    phrase("amount", amount="200.00", description="<b>"),
    phrase("amount", amount="0.01"),
    phrase("ask_accept"),
    phrase("bad_choice", reason="not_a_choice"),
    phrase("rejected"),
    phrase("ask_card"),
    phrase("ask_expiry"),
    phrase("ask_cvv", digits=3),
    phrase("ask_cvv", digits=4),
    phrase("ask_cvv"),
    phrase("bad_card", reason="luhn"),
    phrase("bad_expiry", reason="month"),
    phrase("bad_cvv", reason="cvv_length"),
    phrase("one_moment"),
    phrase("approved", authorization="801585"),
    phrase("approved", authorization=""),
    phrase("declined", code=3001),
    phrase("declined"),
    phrase("ask_another_card"),
    phrase("already_paid"),
    phrase("openpay_failed"),
    phrase("unknown_outcome"),
    phrase("goodbye"),
    phrase("too_many_tries"),
    phrase("time_limit"),
    phrase("echo"),
    phrase("keypad"),
    phrase("keypad_key", pressed="5", method="inband", milliseconds=120, level=-10, twist=1),
    phrase("keypad_key", pressed="#", method="rfc4733", milliseconds=1, level=0),
    phrase("keypad_key", pressed="*", method="info", milliseconds=21),
    phrase("keypad_key", pressed="A", method="", milliseconds=160),
    phrase("keypad_hidden_key", method="inband"),
    phrase("keypad_hidden_key", method="rfc4733"),
    phrase("keypad_hidden_key", method="info"),
    phrase("keypad_hidden_key"),
    phrase("keypad_hides"),
    phrase("keypad_hides_all"),
]
REASONS = {
    "bad_key": ("silence", "empty", "too_short", "too_long", "leading_zero", "not_digits"),
    "bad_choice": ("silence", "empty", "not_a_choice"),
    "bad_card": ("silence", "empty", "too_short", "too_long", "not_digits", "luhn", "not_test_card"),
    "bad_expiry": ("silence", "empty", "expiry_length", "month", "expired", "too_far"),
    "bad_cvv": ("silence", "empty", "cvv_length"),
}
ALL_REASONS = sorted({reason for reasons in REASONS.values() for reason in reasons})
DECLINES = (*range(2004, 2012), *range(3001, 3013))


def assert_sentences(text: str) -> None:
    """Whole sentences in words that a voice can say: no figure, sign or gap."""
    assert re.fullmatch(r"(?:[¿¡]?[A-ZÁÉÍÓÚÑ][^.?!{}<>#*0-9]*[^ .?!{}][.?!](?: |$))+", text), text
    assert "  " not in text
    assert not text.endswith(" ")


@pytest.fixture(params=LANGUAGES)
def each(request: pytest.FixtureRequest) -> Catalogue:
    """The catalogue of every language."""
    return Catalogue(request.param)


@pytest.mark.parametrize("said", SAID, ids=lambda p: p.name)
def test_every_phrase_is_whole_sentences(each: Catalogue, said: Phrase) -> None:
    assert_sentences(each.text(said))


def test_the_phrases_above_are_all_there_are(each: Catalogue) -> None:
    assert {said.name for said in SAID} == set(each.names())
    assert len(each.names()) == len(set(each.names()))


@pytest.mark.parametrize("language", sorted(LANGUAGES.keys() - {"es-MX"}))
def test_all_languages_have_the_same_phrases(language: str) -> None:
    """In the same order, chosen by the same parameter with the same values, saying the same things."""
    first, other = LANGUAGES["es-MX"], LANGUAGES[language]
    assert list(first) == list(other)
    for name in first:
        one, two = first[name], other[name]
        assert parameters_of(one) == parameters_of(two), name
        if isinstance(one, Choice):
            assert isinstance(two, Choice), name
            assert (one.by, list(one.cases)) == (two.by, list(two.cases)), name
            pairs = [(one.otherwise, two.otherwise), *((one.cases[v], two.cases[v]) for v in one.cases)]
        else:
            assert isinstance(two, str), name
            pairs = [(one, two)]
        for mine, yours in pairs:
            assert mine != yours, name
            assert fields_of(mine) == fields_of(yours), (name, mine)
    stems = Catalogue(language).closed()
    assert stems == Catalogue().closed()
    # What is one sound in one language is one in all: a text that differs by mistake would not be.
    for stem, said in stems.items():
        for other_stem, other_said in stems.items():
            same = Catalogue().text(said) == Catalogue().text(other_said)
            assert same == (Catalogue(language).text(said) == Catalogue(language).text(other_said)), (
                stem,
                other_stem,
            )


@pytest.mark.parametrize("name", REASONS)
def test_every_reason_has_a_sentence(each: Catalogue, name: str) -> None:
    catalogue = each
    general = catalogue.text(phrase(name, reason="something new"))
    assert general == catalogue.text(phrase(name))
    for reason in ALL_REASONS:
        text = catalogue.text(phrase(name, reason=reason))
        assert_sentences(text)
        if reason in REASONS[name] and (name, reason) != ("bad_choice", "not_a_choice"):
            assert text != general, reason
        else:
            assert text == general, reason


def test_every_decline_has_a_sentence(each: Catalogue) -> None:
    catalogue = each
    general = catalogue.text(phrase("declined", code=9999))
    for code in DECLINES:
        text = catalogue.text(phrase("declined", code=code))
        assert_sentences(text)
        assert text != general, code
        assert text == catalogue.text(phrase("declined", code=str(code)))


@pytest.mark.parametrize("code", [3004, 3005, 3009, 3011])
def test_nobody_is_accused(each: Catalogue, code: int) -> None:
    text = each.text(phrase("declined", code=code)).lower()
    assert not re.search("rob|perdid|extravi|fraude|retener|retenida|lost|stolen|fraud|retain|suspect", text)


def test_a_decline_is_told_as_it_is() -> None:
    spanish, english = Catalogue(), Catalogue("en-US")
    for code, mine, yours in (
        (3003, "fondos suficientes", "insufficient funds"),
        (3002, "venció", "expired"),
    ):
        assert mine in spanish.text(phrase("declined", code=code))
        assert yours in english.text(phrase("declined", code=code))


def test_the_amount_is_said_exactly(catalogue: Catalogue) -> None:
    said = phrase("amount", amount=Decimal("21001.50"), description="Pedido 45", currency="MXN")
    assert catalogue.text(said) == (
        "Va a pagar veintiún mil un pesos con cincuenta centavos. Concepto: Pedido cuarenta y cinco."
    )
    assert Catalogue("en-US").text(said) == (
        "You are about to pay twenty-one thousand one pesos and fifty centavos. "
        "Description: Pedido forty-five."
    )
    dollar = phrase("amount", amount="1", currency="USD")
    assert catalogue.text(dollar) == "Va a pagar un dólar."
    assert Catalogue("en-US").text(dollar) == "You are about to pay one dollar."


def test_the_authorisation_is_said_digit_by_digit_twice(catalogue: Catalogue) -> None:
    text = catalogue.text(phrase("approved", authorization="012345"))
    assert text.count("cero, uno, dos, tres, cuatro, cinco") == 2
    text = Catalogue("en-US").text(phrase("approved", authorization="012345"))
    assert text.count("zero, one, two, three, four, five") == 2


def test_a_merchants_words_are_cleaned(catalogue: Catalogue) -> None:
    text = catalogue.text(
        phrase("key_refused", description='<volume level="500">{x} Ya pagada!!! http://a.b/c')
    )
    assert text == "No es posible pagar con esa clave. El comercio responde: x Ya pagada."
    assert_sentences(catalogue.text(phrase("welcome", merchant="<<< 7 ELEVEN >>>")))


def test_mexican_usage(catalogue: Catalogue) -> None:
    texts = " ".join(catalogue.text(said) for said in SAID).lower()
    assert "tecla gato" in texts
    assert "marque uno" in texts
    assert "clave de pago" in texts
    for foreign in (
        "almohadilla",
        "numeral",
        "pulse",
        "teclee",
        "ordenador",
        "móvil",
        " tu ",
        " tus ",
        "vosotros",
    ):
        assert foreign not in texts


def test_how_a_key_came() -> None:
    tone = phrase("keypad_key", pressed="5", method="inband", milliseconds=120, level=-10, twist=1)
    event = phrase("keypad_key", pressed="#", method="rfc4733", milliseconds=21, level=0)
    info = phrase("keypad_key", pressed="*", method="info", milliseconds=1)
    assert [Catalogue().text(said) for said in (tone, event, info)] == [
        "Cinco, por tono, ciento veinte milisegundos, menos diez decibeles, twist un decibel.",
        "Gato, por evento telefónico, veintiún milisegundos, cero decibeles.",
        "Asterisco, por mensaje de señalización, un milisegundo.",
    ]
    assert [Catalogue("en-US").text(said) for said in (tone, event, info)] == [
        "Five, by tone, one hundred twenty milliseconds, minus ten decibels, twist one decibel.",
        "Pound, by telephone event, twenty-one milliseconds, zero decibels.",
        "Star, by signaling message, one millisecond.",
    ]


def test_american_usage() -> None:
    texts = " ".join(Catalogue("en-US").text(said) for said in SAID).lower()
    assert texts.count("the pound key") == 4
    assert re.findall(r"press (?!any|the|you)(\w+)", texts) == ["one", "two", "three", "one", "two"]
    for foreign in (
        "hash",
        "dial",
        "cheque",
        "authoris",
        "mobile",
        "expiry",
        "whilst",
        "enter one",
        "peso key",
    ):
        assert foreign not in texts


@pytest.mark.parametrize("language", LANGUAGES)
def test_nobody_is_told_that_nothing_was_charged_but_where_that_is_certain(language: str) -> None:
    """Before a charge, after a refusal, and for a payment that was made: never while it is not known."""
    nothing = re.compile("no se hizo ningún cargo|not been charged|were not charged", re.IGNORECASE)
    catalogue = Catalogue(language)
    told = {said.name for said in SAID if nothing.search(catalogue.text(said))}
    assert told == {"authorizer_failed", "rejected", "already_paid", "openpay_failed"}


def test_an_unknown_phrase_names_the_nearest(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownPhrase, match="did you mean 'goodbye'") as caught:
        catalogue.text(phrase("godbye"))
    assert (caught.value.name, caught.value.nearest) == ("godbye", "goodbye")
    with pytest.raises(UnknownPhrase) as caught:
        catalogue.text(phrase("xyzzy"))
    assert caught.value.nearest is None
    assert isinstance(caught.value, IvrSimError)


def test_missing_and_surplus_parameters(catalogue: Catalogue) -> None:
    with pytest.raises(BadPhrase, match="needs amount"):
        catalogue.text(phrase("amount", description="x"))
    with pytest.raises(BadPhrase, match="takes no tries; it takes: reason"):
        catalogue.text(phrase("bad_key", reason="empty", tries=2))
    with pytest.raises(BadPhrase, match="it takes: none"):
        catalogue.text(phrase("goodbye", merchant="x"))
    with pytest.raises(BadPhrase, match="cents"):
        catalogue.text(phrase("amount", amount=200))
    with pytest.raises(AmountError):
        catalogue.text(phrase("amount", amount="0"))


def test_an_unknown_language_names_the_known_ones() -> None:
    with pytest.raises(UnknownLanguage, match="known are en-US, es-MX"):
        Catalogue("fr-FR")


def test_closed_phrases_cover_what_needs_no_parameter_of_a_call(catalogue: Catalogue) -> None:
    closed = catalogue.closed()
    texts = {catalogue.text(said) for said in closed.values()}
    for said in SAID:
        open_ended = {"merchant", "description", "amount", "authorization", "pressed"} & set(said.params)
        if not open_ended:
            assert catalogue.text(said) in texts, said
    for name, reasons in REASONS.items():
        assert {catalogue.text(phrase(name, reason=reason)) for reason in reasons} <= texts
    assert "amount" not in closed
    assert closed["bad_card.luhn"] == phrase("bad_card", reason="luhn")
    assert closed["ask_key"] == phrase("ask_key")


def test_no_recording_can_stand_for_an_amount_or_a_number(catalogue: Catalogue) -> None:
    stems = catalogue.recordable()
    assert {"welcome", "ask_key", "declined", "declined.3001", "bad_card.luhn"} <= set(stems)
    assert not {"amount", "approved", "key_refused", "keypad_key"} & set(stems)
    assert {"echo", "keypad", "keypad_hidden_key.info"} <= set(stems)


def test_stems_go_from_the_particular_to_the_general(catalogue: Catalogue) -> None:
    assert catalogue.stems(phrase("bad_card", reason="luhn")) == ("bad_card.luhn", "bad_card")
    assert catalogue.stems(phrase("ask_cvv", digits=3)) == ("ask_cvv.3", "ask_cvv")
    assert catalogue.stems(phrase("goodbye")) == ("goodbye",)
    with pytest.raises(UnknownPhrase):
        catalogue.stems(phrase("nothing"))


def test_the_catalogue_and_the_dialogue_know_the_same_phrases(catalogue: Catalogue) -> None:
    dialogue = Path(__file__).parents[2] / "ivr_sim" / "dialogue"
    source = "\n".join(path.read_text(encoding="utf-8") for path in dialogue.glob("*.py"))
    said = set(re.findall(r'phrase\("(\w+)"', source)) | set(re.findall(r'wrong="(\w+)"', source))
    assert said == set(catalogue.names())
