"""Calls with cards in them: every ending, every way of keying, and what callers do wrong.

Real calls over SIP, all at once in one process, with the merchant's authorizer and an Openpay that fails
as some callers need it and then repeats what it was sent. Everything that is left of them is in one folder.

What a caller keys is written as keys and signs:

    0-9 * #    a key of 60 ms and a pause as long        ,   a pause of half a second more
    =          the next key is held for 1.2 s            !   hangs up, 40 ms into the key before it
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import shutil
import string
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import structlog
from rich.console import Console
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

import dtmf
from ivr_sim.call import Phrase
from ivr_sim.dialogue import Limits
from ivr_sim.ivr import Ivr
from ivr_sim.journal import CallOffered, Journal, JsonLines, PromptStarted, Record
from ivr_sim.ledger import Ledger
from ivr_sim.merchant import Merchant
from ivr_sim.node import MERCHANT_KEYS, Node, local_now, local_today
from ivr_sim.prompts import Catalogue, PicoVoice
from ivr_sim.reports import CallFolders, Transcript
from ivr_sim.reports.pictures import Pictures

WAYS = ("inband", "rfc4733", "info")

# Test cards whose parts look like nothing else: not 4111111111111111.
MASTERCARD, AMEX, CARNET = "5105105105105100", "345678000000007", "5061990000000007"
DECLINED = "4000000000030124"
ECHOED = dict(zip(WAYS, ("4000000000030090", "4000000000030108", "4000000000030116"), strict=True))
UNLISTED = ("371449635398431", "6011000990139424")  # test cards of others, which ours do not take
MISTYPED = MASTERCARD[:-1] + "1"
EXPIRY = f"09{(local_now().year + 5) % 100:02d}"
CODE, AMEX_CODE = "073", "0739"
NUMBERS = (MASTERCARD, AMEX, CARNET, DECLINED, *ECHOED.values(), *UNLISTED, MISTYPED)

# What the authorizer does not answer properly: it fails, or refuses, and repeats the payment key.
FAILING, REPEATING = CARNET[:11], AMEX[:12]
AGAIN = ",,,"  # what follows an error at once is not heard
LIMITS = Limits(first_digit=3, digit=2, card_first_digit=3, card_digit=2)


@dataclass(frozen=True)
class Plan:
    """What one caller keys at the start of each prompt, each time it is heard, and how that must end."""

    outcome: str
    answers: dict[str, list[str]]
    by: str = "inband"
    tones_too: bool = False  # the telephone sends tones beside the keys that it reports
    limits: str = "usual"
    card: str = MASTERCARD


def paying(card: str, code: str = CODE) -> dict[str, list[str]]:
    return {"ask_accept": ["1"], "ask_card": [card], "ask_expiry": [EXPIRY], "ask_cvv": [code]}


KEYED = {"ask_key": ["{key}#"]}


def every_ending() -> Iterator[tuple[str, Plan]]:
    cards = {"inband": (MASTERCARD, CODE), "rfc4733": (AMEX, AMEX_CODE), "info": (CARNET, CODE)}
    for by in WAYS:
        pay = paying(*cards[by])
        yield f"approved-{by}", Plan("approved", {**KEYED, **pay}, by)
        declined = {**KEYED, **paying(DECLINED), "ask_another_card": ["2" + DECLINED]}
        yield f"declined-{by}", Plan("declined", declined, by)
        yield f"rejected-{by}", Plan("rejected", {**KEYED, "ask_accept": ["2" + cards[by][0]]}, by)
        partial = [MASTERCARD[:12] + "#", AGAIN + AMEX[:10] + "#", AGAIN + REPEATING + "#"]
        yield f"key_refused-{by}", Plan("key_refused", {"ask_key": partial}, by)
        yield f"authorizer_failed-{by}", Plan("authorizer_failed", {"ask_key": [FAILING + "#"]}, by)
        yield f"openpay_failed-{by}", Plan("openpay_failed", {**KEYED, **paying(ECHOED[by])}, by)
        yield f"unknown-{by}", Plan("unknown", {**KEYED, **pay}, by)
        silent = {**KEYED, "ask_accept": ["1"], "ask_card": [cards[by][0][:9]]}
        yield f"no_input-{by}", Plan("no_input", silent, by)
        gone = {**KEYED, "ask_accept": ["1"], "ask_card": [cards[by][0][:11] + "!"]}
        yield f"abandoned-{by}", Plan("abandoned", gone, by)


def every_mishap() -> Iterator[tuple[str, Plan]]:
    ok = "approved"
    all_at_once = f"1{MASTERCARD}{EXPIRY}{CODE}#"
    not_ours = [UNLISTED[0], AGAIN + UNLISTED[1] + "#", AGAIN + MASTERCARD]
    slowly = ",,,,,".join(MASTERCARD[:6])  # each key is an entry of its own
    for name, answers in {
        "ahead-whole": {**KEYED, "ask_accept": [all_at_once]},
        "corrected": {**KEYED, **paying(f"{MASTERCARD[:9]}*{MASTERCARD}")},
        "mistyped": {**KEYED, **paying(MISTYPED), "ask_card": [MISTYPED, AGAIN + MASTERCARD]},
        "unlisted": {**KEYED, **paying(""), "ask_card": not_ours},
        "code-for-expiry": {**KEYED, **paying(MASTERCARD), "ask_expiry": [CODE + "#", AGAIN + EXPIRY]},
        "held": {**KEYED, **paying(MASTERCARD[:-1] + "=" + MASTERCARD[-1])},
        "over-a-result": {**KEYED, **paying(MASTERCARD), "one_moment": [MASTERCARD], "approved": [CODE * 2]},
        "other-keys": {**KEYED, **paying(MASTERCARD + "#"), "ask_cvv": [AGAIN + "*" + CODE + "##"]},
    }.items():
        yield name, Plan(ok, answers)
    yield "ahead-at-key", Plan("no_input", {"ask_key": ["{key}#" + AMEX]})  # no 1, no 2: no choice
    yield "ahead-at-amount", Plan("no_input", {**KEYED, "amount": [AMEX]})
    yield "slowly", Plan("no_input", {"ask_key": [slowly]})
    yield "card-as-key", Plan("no_input", {"ask_key": [MASTERCARD[:12]]})  # no "#": the pause ends it
    yield "gone-in-a-held-key", Plan("abandoned", {**KEYED, "ask_accept": [f"1{MASTERCARD[:7]}=1!"]})
    yield "gone-in-the-code", Plan("abandoned", {**KEYED, **paying(MASTERCARD, "07=3!")})
    yield "key-by-length", Plan("abandoned", {"ask_key": [MASTERCARD + ",!"]}, limits="by length")
    yield "tones-beside-rfc4733", Plan(ok, {**KEYED, **paying(MASTERCARD)}, "rfc4733", tones_too=True)
    # Whether a key by INFO and its tone are one key is a matter of 120 ms: how this ends is left open.
    yield "tones-beside-info", Plan("any", {**KEYED, **paying(MASTERCARD)}, "info", tones_too=True)


PLANS = dict([*every_ending(), *every_mishap()])


class Payer:
    """Whoever holds the telephone: keys what the plan says when the journal tells that a prompt starts."""

    def __init__(self, plan: Plan, answers: dict[str, list[str]], user: str, journal: Journal) -> None:
        self._plan = plan
        self._answers = {name: deque(keys) for name, keys in answers.items()}
        self._user = user
        self._line: deque[Callable[[], np.ndarray | None]] = deque()  # what to do in each tick to come
        self._call: str | None = None
        self.session: Any = None
        self._stop = journal.subscribe(self._read)

    def _read(self, record: Record) -> None:
        event = record.event
        if isinstance(event, CallOffered) and event.from_ == self._user and self._call is None:
            self._call = record.call
        if record.call == self._call and isinstance(event, PromptStarted) and self._answers.get(event.name):
            self._line.extend([lambda: None] * 6)
            self._queue(self._answers[event.name].popleft())

    def _queue(self, keys: str) -> None:
        ms, last = 60, 0
        for sign in keys:
            if sign == "=":
                ms = 1200
            elif sign == ",":
                self._line.extend([lambda: None] * 25)
            elif sign == "!":
                for _ in range(last):  # what is left of the key before it
                    self._line.pop()
                self._line.append(self._hang_up)
            else:
                key = self._key(sign, ms)
                self._line.extend(key)
                last, ms = len(key) - 2, 60

    def _key(self, key: str, ms: int) -> list[Callable[[], np.ndarray | None]]:
        ticks: list[Callable[[], np.ndarray | None]] = [lambda: None] * (ms // 20 + 3)
        if self._plan.by == "inband" or self._plan.tones_too:
            sound = dtmf.generate(key, tone_ms=ms, gap_ms=60, lead_ms=0, tail_ms=0)
            for n, frame in enumerate(np.round(sound * 32767).astype(np.int16)[: ms * 8].reshape(-1, 160)):
                ticks[n] = lambda frame=frame: frame
        if self._plan.by != "inband":
            ticks.insert(0, lambda: self._report(key, ms))
        return ticks

    def _report(self, key: str, ms: int) -> None:
        if self._plan.by == "rfc4733":
            self.session.stream.press(key, ms)
        else:
            self.session.send_info_key(key, ms)

    def _hang_up(self) -> None:
        self._line.clear()
        self.session.hang_up()

    def tick(self, heard: np.ndarray) -> np.ndarray | None:
        return self._line.popleft()() if self._line else None

    def key_down(self, *args: Any) -> None:
        """The IVR keys nothing."""

    key_up = key_down

    async def call(self, phone: Any) -> None:
        self.session = phone.dial(MERCHANT_KEYS, self)
        try:
            await self.session.ended
        finally:
            self._stop()


def letters(n: int = 8) -> str:
    """A name that cannot hold a digit of a card by chance, as one in hexadecimal could."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(2 * n))


def whole_second() -> datetime:
    """The wall clock without its microseconds: six digits, which could be anybody's."""
    return local_now().replace(microsecond=0)


Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def around(app: Wsgi, fail: Callable[[str, str, str], tuple[str, str] | None]) -> Wsgi:
    """A service that fails where ``fail(path, query, body)`` says how: status and body."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        answer = fail(environ["PATH_INFO"], environ.get("QUERY_STRING", ""), body.decode())
        if answer is None:
            return app({**environ, "wsgi.input": BytesIO(body)}, start_response)
        status, said = answer
        start_response(status, [("Content-Type", "application/json")])
        return [said.encode()]

    return serve


def failing_authorizer(path: str, query: str, body: str) -> tuple[str, str] | None:
    if FAILING in body:
        return "500 Internal Server Error", f"Traceback: KeyError in request {body}"
    if REPEATING in body:
        apart = " ".join(re.findall("....", REPEATING))
        said = {"response_code": 404, "description": f"La clave {REPEATING} ({apart}) no existe"}
        return "200 OK", json.dumps(said)
    return None


def failing_openpay(path: str, query: str, body: str) -> tuple[str, str] | None:
    if path.endswith("/tokens"):
        if ECHOED["inband"] in body:
            return "500 Internal Server Error", f"Traceback: {body}"
        if ECHOED["rfc4733"] in body:
            said = {"error_code": 1001, "description": f"{ECHOED['rfc4733']} {CODE} is not valid"}
            return "400 Bad Request", json.dumps(said)
        if ECHOED["info"] in body:
            return "200 OK", body
    elif "ord-unknown" in body + query:
        return "500 Internal Server Error", f"Traceback: {body}"
    return None


@contextmanager
def everything_logged(path: Path) -> Iterator[None]:
    """All logs at DEBUG into one file, without the redactor: structlog, the standard way, and Twisted."""
    before = structlog.get_config()
    with path.open("a", encoding="utf-8") as file:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(default=repr, ensure_ascii=False),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
            logger_factory=structlog.WriteLoggerFactory(file),
            cache_logger_on_first_use=False,
        )
        root, handler = logging.getLogger(), logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)

        def observe(event: dict[str, Any]) -> None:
            failure = event.get("log_failure")
            trace = failure.getTraceback(detail="verbose") if failure is not None else ""
            told = {name: value for name, value in event.items() if name not in ("log_time", "time")}
            file.write(f"{told!r}\n{trace}\n")  # without the time, which has seven decimals

        globalLogPublisher.addObserver(observe)
        try:
            yield
        finally:
            globalLogPublisher.removeObserver(observe)
            root.removeHandler(handler)
            root.setLevel(level)
            structlog.configure(**before)


def short_prompts(data: Path) -> None:
    """Recordings of 200 ms for what can be recorded, so that calls are short."""
    (data / "recorded").mkdir(parents=True)
    for name in Catalogue().recordable():
        soundfile.write(data / "recorded" / f"{name}.wav", np.full(1600, 0.01), 8000)


class Undrawn(Pictures):
    """No pictures: they show the masked recordings, which are searched themselves."""

    def draw(self, journal: Path, recording: Path, picture: Path) -> Deferred[str | None]:
        return succeed(None)


@dataclass
class House:
    """A merchant, an exchange and a line, with all that they leave in ``folder``."""

    folder: Path
    plans: dict[str, Plan]
    limits: Limits = LIMITS
    records: list[Record] = field(default_factory=list)

    async def play(self) -> None:
        """Place all calls, and kill the voice while they last."""
        short_prompts(self.folder)
        self.journal = Journal(whole_second)
        self.journal.subscribe(self.records.append)
        with (
            (self.folder / "journal.jsonl").open("w", encoding="utf-8") as lines,
            (self.folder / "transcript.txt").open("w", encoding="utf-8") as printed,
        ):
            self.journal.subscribe(JsonLines(lines))
            words = Catalogue()
            console = Console(file=printed, width=200)
            self.journal.subscribe(Transcript(console, lambda name, p: words.text(Phrase(name, p))))
            self.merchant = Merchant(
                reactor,
                self.folder / "services",
                now=whole_second,
                around=lambda app: around(app, failing_authorizer),
                seed="leaks",
            )
            self.merchant.start()
            folders = CallFolders(
                self.folder / "calls",
                self.journal,
                reactor,
                words=lambda name, p: words.text(Phrase(name, p)),
                pictures=Undrawn(reactor),
            )
            self.node = Node(
                reactor, self.merchant, self.journal, data=self.folder, folders=folders,
                accounts=tuple(self.plans), limits=self.limits,
            )  # fmt: skip
            try:
                await self.node.start()
                calls = [
                    Deferred.fromCoroutine(self._call(n, user, plan))
                    for n, (user, plan) in enumerate(self.plans.items())
                ]
                killing = reactor.callLater(4, self._kill_the_voice)
                await gatherResults(calls, consumeErrors=True)
                await self.node.settle()
                if killing.active():
                    killing.cancel()
                # The databases as they are while in use, with what is beside them.
                shutil.copytree(self.folder / "services", self.folder / "in-use", dirs_exist_ok=True)
                for path in self.folder.glob("ledger*"):
                    shutil.copy(path, self.folder / "in-use")
            finally:
                await self.node.stop()
                await self.merchant.stop()

    def _kill_the_voice(self) -> None:
        child = self.node._voice._child
        if child is not None:
            child.kill()

    async def _call(self, n: int, user: str, plan: Plan) -> None:
        await deferLater(reactor, 0.25 * n)  # all at once would be more than one process can do
        key = self.merchant.keys.issue(
            Decimal("200.00"), "Cargo IVR", f"ord-{user}", expires_in=timedelta(hours=1), key=f"91{n + 2000}"
        )
        answers = {name: [a.replace("{key}", key.key) for a in keys] for name, keys in plan.answers.items()}
        phone = self.node.phone(user)
        await phone.start()
        try:
            await Payer(plan, answers, user, self.journal).call(phone)
        finally:
            await phone.stop()

    def of(self, user: str) -> list[Record]:
        """The journal of this caller's call."""
        [call] = {r.call for r in self.records if getattr(r.event, "from_", None) == user}
        return [r for r in self.records if r.call == call]


class Beeps:
    """Every phrase lasts 200 ms."""

    async def sound(self, phrase: Phrase) -> np.ndarray:
        return np.full(1600, 300, np.int16)


async def replayed(
    folder: Path, keyed: str, *, watch: Callable[[Record], None] = lambda record: None
) -> list[Record]:
    """One call in virtual time, to the same artefacts: what is keyed, with a second between the words.

    The merchant's services are the real ones, over HTTP. ``{key}`` is a payment key that can be paid.
    ``watch`` reads the journal, too.
    """
    records: list[Record] = []
    journal = Journal(whole_second)
    journal.subscribe(records.append)
    journal.subscribe(watch)
    words = Catalogue()
    merchant = Merchant(reactor, folder / "services", now=whole_second, seed="leaks")
    merchant.start()
    ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite3'}", now=whole_second)
    cashier = merchant.cashier(ledger, journal)
    with (folder / "journal.jsonl").open("w") as lines, (folder / "transcript.txt").open("w") as printed:
        journal.subscribe(JsonLines(lines))
        console = Console(file=printed, width=200)
        journal.subscribe(Transcript(console, lambda name, p: words.text(Phrase(name, p))))
        try:
            await cashier.start()
            key = merchant.keys.issue(
                Decimal("200.00"), "Cargo IVR", "ord-x", expires_in=timedelta(hours=1), key="912345"
            )
            sounds = [
                dtmf.generate(word, tone_ms=80, gap_ms=80, lead_ms=1000, tail_ms=500)
                for word in keyed.replace("{key}", key.key).split()
            ]
            tape = np.round(np.concatenate([*sounds, np.zeros(4000)]) * 32767).astype(np.int16)
            shop = merchant.shop("Tienda", cashier, today=local_today, limits=LIMITS)
            await Ivr(shop, Beeps(), journal).replayed(tape, name="0001", to=MERCHANT_KEYS)
        finally:
            await cashier.stop()
            ledger.close()
            await merchant.stop()
    return records


@contextmanager
def under_test() -> Iterator[None]:
    """Names without digits, times without microseconds, a failing Openpay, short waits and prompts."""
    with pytest.MonkeyPatch.context() as patch:
        named = SimpleNamespace(
            **{n: getattr(secrets, n) for n in ("token_urlsafe", "choice", "randbelow")}, token_hex=letters
        )
        patch.setattr("ivr_sim.sip.identifiers.secrets", named)
        patch.setattr("ivr_sim.merchant.secrets", named)
        patch.setattr("ivr_sim.node.local_now", whole_second)
        patch.setattr("ivr_sim.clients.acquirer.BETWEEN_LOOKS", 0.2)
        render = PicoVoice.render

        async def shortly(voice: PicoVoice, text: str) -> np.ndarray:
            return (await render(voice, text))[:8000]

        patch.setattr(PicoVoice, "render", shortly)
        from ivr_sim import openpay

        create = openpay.create_app
        patch.setattr(openpay, "create_app", lambda *a, **k: around(create(*a, **k), failing_openpay))
        yield
