"""docs/dialogue.md against the code: each row of its tables is played, and compared.

python -m tests.dialogue.test_table      writes the tables anew
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from datetime import date
from inspect import signature
from pathlib import Path
from typing import Any, get_args

import pytest
from twisted.internet.defer import Deferred

from ivr_sim.dialogue import Ending, Limits, Outcome, entry
from ivr_sim.dialogue.services import (
    AcquirerFailed,
    AlreadyPaid,
    Approved,
    AuthorizerFailed,
    Declined,
    Refusal,
    Unknown,
)
from ivr_sim.journal import AuthorizerCause, PromptEnded, PromptStarted, Record
from ivr_sim.legs import LegCall
from ivr_sim.prompts import es_mx
from ivr_sim.prompts.template import Choice

from .conftest import PAYABLE, Stage

DOC = Path(__file__).parents[2] / "docs" / "dialogue.md"
VISA, AMEX, DINERS = "4111111111111111", "341111111111111", "30569309025904"
LIMIT = signature(LegCall).parameters["limit"].default
USUAL = Limits()

ASKED_BY = {
    "payment key": "ask_key",
    "amount": "ask_accept",
    "card number": "ask_card",
    "expiry": "ask_expiry",
    "CVV": "ask_cvv",
    "another card": "ask_another_card",
}
GOOD = {
    "ask_key": "123456#",
    "ask_accept": "1",
    "ask_card": VISA,
    "ask_expiry": "1228",
    "ask_cvv": "123",
    "ask_another_card": "1",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """How one row is played.

    keyed: the input, after ``before`` at the same question ("" is silence, "!" hangs up); delay: from the
    prompt's end to its first key, in seconds. look_up, earlier, charge: what the services answer.
    meanwhile: a hang-up, keys or the time limit, while a service is asked or "one moment" is said. nth: at
    which time that the state is reached the row's input comes. lost: a prompt that cannot be spoken.
    """

    state: str
    input: str
    keyed: str = ""
    before: tuple[str, ...] = ()
    look_up: Any = PAYABLE
    earlier: Any = None
    charge: Any = field(default_factory=lambda: Approved(charge_id="trx", authorization="801585"))
    meanwhile: str = ""
    delay: float = 0.3
    nth: int = 1
    amex: bool = False
    lost: str | None = None

    @property
    def ask(self) -> str | None:
        """The prompt that asks for the state's entry, if it asks for one."""
        return ASKED_BY.get(self.state.removeprefix("second "))


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    state: str
    input: str
    said: str
    next: str

    def __str__(self) -> str:
        return f"| {self.state} | {self.input} | {self.said} | {self.next} |"


def _cases() -> Iterator[Case]:
    yield Case(state="answer", input="–")
    state = "payment key"
    yield Case(state=state, input="4 to 12 digits, `#`", keyed="123456#")
    yield Case(state=state, input=f"4 to 12 digits, {USUAL.digit:g} s of silence", keyed="123456")
    yield Case(state=state, input="digits, `*`, 4 to 12 digits, `#`", keyed="99*123456#")
    yield from _wrong(
        state,
        silence=USUAL.first_digit,
        others=(
            ("fewer than 4 digits", "123#"),
            ("more than 12 digits", "1234567890123#"),
            ("a leading zero", "012345#"),
            ("keys A to D", "12A456#"),
        ),
    )

    state = "look-up"
    yield Case(state=state, input="payable")
    yield Case(state=state, input="payable, but an earlier charge paid the order", earlier=AlreadyPaid())
    yield Case(state=state, input="payable, but an earlier charge may have paid the order", earlier=Unknown())
    yield Case(
        state=state,
        input="payable, but what became of an earlier charge cannot be told",
        earlier=AcquirerFailed("ledger"),
    )
    yield Case(
        state=state, input="payable, an error of our own at the earlier charges", earlier=RuntimeError("x")
    )
    refused = Refusal(code=3, description="Clave pagada")
    yield Case(state=state, input="refused by the merchant", look_up=refused)
    yield Case(state=state, input="refused, the third key", look_up=refused, nth=3)
    for cause, words in {
        "dns": "the merchant's host has no address",
        "connect": "no connection",
        "tls": "no trusted connection",
        "timeout": "no answer in 5 s",
        "status": "a status other than 200",
        "not_json": "not JSON",
        "bad_fields": "missing or wrong fields",
    }.items():
        yield Case(state=state, input=words, look_up=AuthorizerFailed(cause))
    yield Case(state=state, input="an error of our own", look_up=RuntimeError("x"))
    yield Case(state=state, input="payable, but the amount cannot be spoken", lost="amount")
    yield Case(state=state, input="payable, the caller has hung up meanwhile", meanwhile="hang up")
    yield Case(state=state, input="payable, past the time limit", meanwhile="limit")

    state = "amount"
    yield Case(state=state, input="1", keyed="1")
    yield Case(state=state, input="2", keyed="2")
    yield Case(state=state, input="3, however often", keyed="3", before=("3",) * 4)
    yield Case(state=state, input="`*`, 1", keyed="*1")
    yield from _wrong(state, silence=USUAL.first_digit, others=(("another digit", "7"), ("keys A to D", "A")))

    state = "card number"
    yield Case(state=state, input="16 digits (Visa, Mastercard, Carnet)", keyed=VISA)
    yield Case(state=state, input="15 digits (American Express)", keyed=AMEX)
    yield Case(state=state, input="13 to 19 digits of another brand, `#`", keyed=DINERS + "#")
    yield Case(
        state=state,
        input=f"13 to 19 digits of another brand, {USUAL.card_digit:g} s of silence",
        keyed=DINERS,
    )
    yield Case(state=state, input="digits, `*`, a whole number", keyed="4242*" + VISA)
    yield from _wrong(
        state,
        silence=USUAL.card_first_digit,
        others=(
            ("too few digits", "411111#"),
            ("more than 19 digits", DINERS + "000000#"),
            ("keys A to D", "4A11#"),
            ("a wrong check digit (Luhn)", "4111111111111112"),
            ("not a test card", "4242424242424242"),
        ),
    )

    state = "expiry"
    yield Case(state=state, input="MMYY, this month or later", keyed="1126")
    yield Case(state=state, input="MMYY (American Express)", keyed="1228", amex=True)
    yield Case(state=state, input="digits, `*`, MMYY", keyed="13*1228")
    yield from _wrong(
        state,
        silence=USUAL.card_first_digit,
        others=(
            ("fewer than 4 digits", "122#"),
            ("keys A to D", "122A"),
            ("month 00 or 13", "1328"),
            ("a month in the past", "1026"),
            ("more than 20 years ahead", "0147"),
        ),
    )

    state = "CVV"
    yield Case(state=state, input="3 digits", keyed="123")
    yield Case(state=state, input="4 digits (American Express)", keyed="1234", amex=True)
    yield Case(state=state, input="digits, `*`, 3 digits", keyed="12*123")
    yield Case(state=state, input="3 digits, `#` (American Express)", keyed="123#", amex=True)
    yield from _wrong(
        state,
        silence=USUAL.card_first_digit,
        others=(("fewer than 3 digits", "12#"), ("keys A to D", "12A")),
    )

    state = "one moment"
    yield Case(state=state, input="–")
    yield Case(state=state, input="any key", meanwhile="159#*")
    yield Case(state=state, input="hang-up", meanwhile="hang up")
    yield Case(state=state, input="past the time limit", meanwhile="limit")

    state = "charging"
    declined, failed = Declined(error_code=3003), AcquirerFailed("connect")
    yield Case(state=state, input="approved")
    yield Case(state=state, input="declined, first or second card", charge=declined)
    yield Case(state=state, input="declined, the third card", charge=declined, nth=3)
    yield Case(state=state, input="already paid", charge=AlreadyPaid())
    yield Case(state=state, input="no answer: nobody knows", charge=Unknown())
    yield Case(state=state, input="an error of our own", charge=RuntimeError("x"))
    yield Case(state=state, input="Openpay cannot be used, nothing was charged", charge=failed)
    yield Case(state=state, input="approved, keys pressed meanwhile", meanwhile="159#*")
    for words, charge in (
        ("approved", Approved(charge_id="trx", authorization="801585")),
        ("declined", declined),
        ("already paid", AlreadyPaid()),
        ("nobody knows", Unknown()),
        ("Openpay cannot be used", failed),
    ):
        yield Case(
            state=state,
            input=f"{words}, the caller has hung up meanwhile",
            charge=charge,
            meanwhile="hang up",
        )
    yield Case(state=state, input="approved, past the time limit", meanwhile="limit")
    yield Case(state=state, input="declined, past the time limit", charge=declined, meanwhile="limit")

    state = "another card"
    yield Case(state=state, input="1", keyed="1", charge=declined)
    yield Case(state=state, input="2", keyed="2", charge=declined)
    yield Case(state=state, input="`*`, 1", keyed="*1", charge=declined)
    yield from _wrong(
        state,
        silence=USUAL.first_digit,
        others=(("another digit", "7"), ("keys A to D", "A")),
        charge=declined,
    )

    state = "second card number"
    yield Case(state=state, input="16 digits", keyed=VISA, before=(VISA,), charge=declined)
    yield Case(
        state=state, input="third wrong entry", keyed="#", before=(VISA, "#", "#"), charge=declined, nth=4
    )
    yield Case(state=state, input="hang-up", keyed="!", before=(VISA,), charge=declined)
    yield Case(state=state, input="the time limit", before=(VISA,), meanwhile="limit", charge=declined)


def _wrong(
    state: str, *, silence: float, others: tuple[tuple[str, str], ...], charge: Any = None
) -> Iterator[Case]:
    """What can go wrong at every question."""
    more = {} if charge is None else {"charge": charge}
    yield Case(state=state, input=f"nothing for {silence:g} s", **more)
    # Later than a terminator out of habit, which would be swallowed.
    yield Case(state=state, input="`#` alone", keyed="#", delay=USUAL.card_digit + 1, **more)
    for words, keyed in others:
        yield Case(state=state, input=words, keyed=keyed, **more)
    yield Case(state=state, input="third wrong entry", keyed="#", before=("#", "#"), **more)
    yield Case(state=state, input="hang-up", keyed="!", **more)
    yield Case(state=state, input="the time limit", meanwhile="limit", **more)


CASES = tuple(_cases())


# Playing ------------------------------------------------------------------------------------------

Mark = tuple[str, str]  # what happened (said, asked, cut, a service), and to which prompt


def row_of(case: Case, new_journal: Callable[[], Any]) -> Row:
    """Play a case and see what comes after its input."""
    service = 0.0
    if case.state == "one moment" and case.meanwhile == "limit":
        _, _, at = _played(case, new_journal, 0.02)
        service = LIMIT - at + 0.02 - 0.5  # half of it is said when the limit comes
    marks, ending, _ = _played(case, new_journal, service)
    said: list[str] = []
    for what, name in marks:
        if what == "said":
            said.append(name)
        elif what == "cut":
            said[-1] += " (cut)"
        else:
            return Row(case.state, case.input, ", ".join(said) or "–", name)
    return Row(
        case.state, case.input, ", ".join(said) or "–", f"**{ending.outcome}** {ending.cause or ''}".rstrip()
    )


def _played(case: Case, new_journal: Callable[[], Any], service: float) -> tuple[list[Mark], Ending, float]:
    """What happened after the row's state was reached, how the call ended, and when the state was reached."""
    journal = new_journal()
    stage = Stage(journal, today=date(2026, 11, 23))
    stage.allowed = lambda number: number.is_one_of([VISA, AMEX, DINERS])
    stage.keys.answers["123456"] = case.look_up
    stage.acquirer.before = case.earlier
    stage.acquirer.results = [case.charge] * 3
    stage.sounds.lost = case.lost
    stage.delay = case.delay
    script = {ask: [good] * 9 for ask, good in GOOD.items()}
    if case.amex:
        script["ask_card"] = [AMEX]
    if case.ask:
        script[case.ask] = [*case.before, case.keyed]
    _let_happen(case, stage, script, service)

    marks: list[Mark] = []
    reached: list[tuple[int, float]] = []

    def mark(what: str, name: str, state: str) -> None:
        marks.append((what, name))
        if state == case.state.removeprefix("second "):
            reached.append((len(marks), stage.call.now))

    def happened(record: Record) -> None:
        event = record.event
        if isinstance(event, PromptStarted):
            mark("said", _name(event), "")
            if event.name == "one_moment":
                mark("then", "one moment", "one moment")
        elif isinstance(event, PromptEnded) and event.cut_by == "limit":
            mark("cut", event.name, "")
        elif isinstance(event, PromptEnded) and event.cut_by is None and event.name in ASKED_BY.values():
            state = next(state for state, ask in ASKED_BY.items() if ask == event.name)
            mark("then", state, state)

    def marked(service: Callable[..., Any], state: str) -> Callable[..., Any]:
        async def asked(*args: Any, **more: Any) -> Any:
            mark("then", state, state)
            return await service(*args, **more)

        return asked

    journal.subscribe(happened)
    stage.keys.look_up = marked(stage.keys.look_up, "look-up")
    stage.acquirer.charge = marked(stage.acquirer.charge, "charging")
    ending = stage.play(script, max_seconds=2000)
    if case.state == "answer":
        return marks, ending, 0.0
    begin, at = reached[max(case.nth, len(case.before) + 1) - 1]
    return marks[begin:], ending, at


def _let_happen(case: Case, stage: Stage, script: dict[str, list[str]], service: float) -> None:
    """Arrange for the hang-up, the keys or the time limit of a case."""
    if case.state == "one moment":
        stage.on_start = True
        stage.service_seconds, stage.keys.pending = service, Deferred() if service else None
        if case.meanwhile != "limit":
            script["one_moment"] = ["!" if case.meanwhile == "hang up" else case.meanwhile]
        return
    if case.ask and case.meanwhile == "limit":
        stage.limits = Limits(first_digit=2 * LIMIT, card_first_digit=2 * LIMIT)
    elif case.meanwhile:
        asked = stage.keys if case.state == "look-up" else stage.acquirer
        asked.pending = Deferred()
        stage.service_seconds = LIMIT + 50 if case.meanwhile == "limit" else 3.0
        if case.meanwhile == "hang up":
            asked.pending.addCallback(lambda _: stage.call.hung_up())
        elif case.meanwhile != "limit":
            script["one_moment"] = [case.meanwhile]


def _name(event: PromptStarted) -> str:
    """A prompt as the table names it: with its reason, or the code of a decline."""
    text = es_mx.TEXTS[event.name]
    chosen = isinstance(text, Choice) and text.by in ("reason", "digits") and event.params.get(text.by)
    return f"{event.name}.{chosen}" if chosen else event.name


# The limits and the outcomes ----------------------------------------------------------------------

LIMITS = {
    "first_digit": "to the first key of a payment key, of the amount's answer, of another card's answer",
    "digit": "between two keys of these",
    "card_first_digit": "to the first key of card number, expiry, CVV",
    "card_digit": "between two keys of these",
    "tries": "entries per question, then the call ends",
    "payment_keys": "payment keys that the merchant may refuse, per call",
    "cards": "cards that may be declined, per call",
    "key_length": "digits that end a payment key without `#`",
}


def limits_table() -> list[str]:
    """Every limit with its default, as lines of the document."""
    lines = ["| limit | default | what |", "|---|---|---|"]
    for name, words in LIMITS.items():
        value = getattr(USUAL, name)
        shown = f"{value:g} s" if isinstance(value, float) else "none" if value is None else value
        lines.append(f"| `{name}` | {shown} | {words} |")
    keys = entry.KEY_DIGITS
    lines.append(f"| – | {keys[0]} to {keys[-1]} | digits of a payment key |")
    lines.append(f"| – | {LIMIT:g} s | the longest call |")
    return lines


def block(name: str, text: str) -> list[str]:
    """The lines of the document between the two marks of a generated table."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, re.DOTALL)
    assert found, f"{DOC} has no table marked {name}"
    return found[1].splitlines()


def replaced(name: str, lines: list[str], text: str) -> str:
    """The document with another table."""
    marks = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = text.split(marks[0])
    return "\n".join([before + marks[0], *lines, marks[1] + rest.split(marks[1])[1]])


# Tests --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def document() -> str:
    return DOC.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def rows(document) -> dict[tuple[str, str], Row]:
    """The rows that the document shows, by state and input."""
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in block("conversation", document)[2:]]
    return {(c[0], c[1]): Row(*c) for c in cells}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.state}: {case.input}")
def test_a_row_is_what_happens(case, rows, journal):
    assert str(rows.get((case.state, case.input))) == str(row_of(case, type(journal))), (
        "python -m tests.dialogue.test_table writes the tables anew"
    )


def test_every_row_is_played_once_and_in_order(rows):
    assert list(rows) == [(case.state, case.input) for case in CASES]


def test_every_prompt_is_in_the_table(rows):
    said = {
        name.removesuffix(" (cut)").split(".")[0] for row in rows.values() for name in row.said.split(", ")
    }
    trials = {name for name in es_mx.TEXTS if name.startswith(("echo", "keypad"))}
    assert said - {"–"} == set(es_mx.TEXTS) - trials


def test_every_reason_for_a_wrong_entry_is_in_the_table_and_has_its_own_words(rows):
    """The code's reasons are read from its source: a new one needs a row, and a sentence."""
    sources = (Path(entry.__file__), Path(entry.__file__).parents[1] / "cards.py")
    raised = set().union(
        *(re.findall(r'(?:Refused|InvalidCard)\("(\w+)"\)', s.read_text(encoding="utf-8")) for s in sources)
    )
    said = {name for row in rows.values() for name in row.said.split(", ") if name.startswith("bad_")}
    assert {name.split(".")[1] for name in said} == raised
    worded = {
        f"{name}.{reason}"
        for name, text in es_mx.TEXTS.items()
        if isinstance(text, Choice) and text.by == "reason"
        for reason in text.cases
    }
    # What is no choice, or a choice of other keys, is told by the sentence for any other reason.
    assert worded == said - {"bad_choice.not_a_choice"}


def test_every_failure_of_the_authorizer_is_in_the_table(rows):
    ended = {row.next for row in rows.values() if row.next.startswith(f"**{Outcome.AUTHORIZER_FAILED}**")}
    assert {e.split()[1] for e in ended} == set(get_args(AuthorizerCause)) - {"ok", "refused"}


def test_every_outcome_and_its_causes_are_explained(rows, document):
    explained = re.findall(r"^\| \*\*(\w+)\*\* \| `?([\w–]+)`? \|", document, re.MULTILINE)
    ended = [re.match(r"\*\*(\w+)\*\* ?(\w*)", row.next) for row in rows.values()]
    happened = {(e[1], _cause(e[1], e[2])) for e in ended if e}
    assert {outcome for outcome, _ in happened} == set(Outcome)
    assert happened == set(explained)
    assert len(explained) == len(set(explained))


def _cause(outcome: str, cause: str) -> str:
    """A cause as the document explains it: codes, and the ways in which Openpay can fail, are many."""
    if outcome == Outcome.OPENPAY_FAILED:
        return "how"
    return re.sub(r"code_\d+", "code_N", cause) or "–"


def test_the_limits_are_those_of_the_code(document):
    assert set(LIMITS) == {f.name for f in fields(Limits)}
    assert block("limits", document) == limits_table()


def main() -> None:
    """Write the tables of the document anew."""
    from tests.conftest import KeptJournal

    head = ["| state | input | said | next |", "|---|---|---|---|"]
    text = DOC.read_text(encoding="utf-8")
    text = replaced("limits", limits_table(), text)
    text = replaced("conversation", [*head, *(str(row_of(case, KeptJournal)) for case in CASES)], text)
    DOC.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
