"""Whole calls that leave folders: one merchant, one node, real SIP and HTTP on loopback."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

import dtmf
from ivr_sim import journal as j
from ivr_sim.call import Phrase
from ivr_sim.dialogue import Limits
from ivr_sim.harness import Caller, Script
from ivr_sim.http_exchange import PAYMENT_KEY, HttpExchange
from ivr_sim.journal import Journal, Record
from ivr_sim.merchant import Merchant
from ivr_sim.node import MERCHANT_KEYS, Node, local_now
from ivr_sim.prompts import Catalogue
from ivr_sim.reports import CallFolders
from ivr_sim.reports.ladder import read_sip
from ivr_sim.reports.pictures import Pictures


def _of_leaks(name: str) -> ModuleType:
    """A module of the leak suite, which is no package."""
    full = f"leaks_{name}"
    if full not in sys.modules:
        path = Path(__file__).parents[1] / "leaks" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(full, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


@pytest.fixture(scope="session")
def leaks() -> SimpleNamespace:
    """The leak suite's searcher and scenes, and ``search(folder)`` for the cards of the scenes."""
    searcher, scenes = _of_leaks("searcher"), _of_leaks("scenes")
    secrets = searcher.Secrets(scenes.NUMBERS, (scenes.CODE, scenes.AMEX_CODE), (scenes.EXPIRY,))
    return SimpleNamespace(
        scenes=scenes, search=lambda folder: searcher.unique(searcher.Searcher(secrets).folder(folder))
    )


def words(name: str, params: Any) -> str:
    return Catalogue().text(Phrase(name, params))


class House:
    """A node whose calls leave folders in ``root``; prompts last 200 ms."""

    def __init__(self, folder: Path, users: tuple[str, ...], *, limits: Limits, **options: Any) -> None:
        recorded = folder / "recorded"
        recorded.mkdir(parents=True)
        for name in Catalogue().recordable():
            soundfile.write(recorded / f"{name}.wav", np.full(1600, 0.01), 8000)
        self.root = folder / "calls"
        self.journal = Journal(local_now)
        self.records: list[Record] = []
        self.journal.subscribe(self.records.append)
        pictures = Pictures(reactor)
        pictures.stop = partial(pictures.stop, 60)  # ten seconds are few where much else is to be done
        self.folders = CallFolders(
            self.root, self.journal, reactor,
            words=words, settings={"language": "es-MX", "api_password": "x"}, pictures=pictures,
        )  # fmt: skip
        self.merchant = Merchant(
            reactor, folder / "services", now=local_now, around=options.pop("around", None), seed="reports"
        )
        self.merchant.start()
        self.node = Node(
            reactor, self.merchant, self.journal, data=folder, folders=self.folders, accounts=users,
            limits=limits, **options,
        )  # fmt: skip

    async def pay(self, user: str, answers: dict[str, list[str]], *, by: str = "inband") -> str:
        """One call; returns its number."""
        key = self.merchant.keys.issue(
            Decimal("200.00"), "Cargo IVR", f"ord-{user}", expires_in=timedelta(hours=1)
        )
        phone = self.node.phone(user)
        await phone.start()
        try:
            answers = {name: [a.replace("{key}", key.key) for a in keys] for name, keys in answers.items()}
            await Caller(phone, self.journal).call(
                MERCHANT_KEYS, Script(answers=answers, by=by, barge_in=True, delay=0.2)
            )
        finally:
            await phone.stop()
        return self.number_of(user)

    def number_of(self, user: str) -> str:
        [call] = {r.call for r in self.records if getattr(r.event, "from_", None) == user}
        assert call is not None
        return call

    async def stop(self) -> None:
        await self.node.settle()
        await self.node.stop()
        await self.merchant.stop()


@pytest.fixture(scope="session")
def play(on_reactor: Callable[..., Any], leaks: SimpleNamespace) -> Callable[..., House]:
    """Places calls, all at once, and returns the house that they were placed in, stopped."""

    def placed(
        folder: Path,
        calls: dict[str, tuple[dict[str, list[str]], str]],
        *,
        also: Callable[[House], Any] | None = None,
        limits: Limits | None = None,
        **options: Any,
    ) -> House:
        async def run() -> House:
            with leaks.scenes.under_test():
                limits_ = limits or Limits(first_digit=1.5, digit=1, card_first_digit=1.5, card_digit=1)
                house = House(folder, tuple(calls), limits=limits_, **options)
                try:
                    await house.node.start()
                    under_way = [
                        Deferred.fromCoroutine(house.pay(user, answers, by=by))
                        for user, (answers, by) in calls.items()
                    ]
                    if also is not None:
                        under_way.append(Deferred.fromCoroutine(also(house)))
                    await gatherResults(under_way, consumeErrors=True)
                finally:
                    await house.stop()
                return house

        house: House = on_reactor(run, seconds=90)
        return house

    return placed


KEY, CARD = "123456", "4111111111111111"


@pytest.fixture
def evidence() -> SimpleNamespace:
    """What a call of 12 s left: records, both sides, exchanges, SIP, masks; ``card`` is what was keyed.

    The payment key sounds from 2 s on, the card from 6 s on; at 5 s the authorizer replied.
    """
    caller = np.zeros(12 * 8000, np.int16)
    spans = []
    for start, digits in ((2.0, KEY + "#"), (6.0, CARD)):
        tones = dtmf.generate(digits, tone_ms=70, gap_ms=70, lead_ms=0, tail_ms=0)
        at = round(start * 8000)
        caller[at : at + len(tones)] = np.round(tones * 32767)
        spans.append([(start + n * 0.14, start + n * 0.14 + 0.07) for n in range(len(digits))])
    seconds = np.arange(len(caller)) / 8000
    ivr = np.round(6000 * np.sin(2 * np.pi * 300 * seconds) * (seconds % 3 < 2)).astype(np.int16)
    published, secret = spans

    def pressed(span: tuple[float, float]) -> tuple[float, j.Event]:
        event = j.KeyPressed(method="inband", start=span[0], duration_ms=70, level_dbm0=-10.0)
        return span[1], event

    told: list[tuple[float | None, j.Event]] = [
        (None, j.CallOffered(from_="1001", to="5000", leg="sip")),
        (0.0, j.CallAnswered(codec="PCMU", key_methods=("inband",))),
        (0.0, j.PromptStarted(name="ask_key", params={})),
        (2.02, j.PromptEnded(name="ask_key", cut_by="key")),
        *map(pressed, published),
        (3.0, j.EntryAccepted(field="payment_key", length=6, value=KEY)),
        (5.0, j.AuthorizerReplied(cause="ok", status=200, ms=1900)),
        (5.0, j.PromptStarted(name="amount", params={"amount": "200.00", "currency": "MXN"})),
        (5.9, j.PromptEnded(name="amount", cut_by=None)),
        *map(pressed, secret),
        (8.3, j.EntryRefused(field="card_number", reason="luhn")),
        (12.0, j.CallEnded(outcome="no_input", cause="card_number", by="ivr")),
    ]
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    exchange = HttpExchange(
        service="authorizer", method="POST", url="http://127.0.0.1:8081/openpay/authorizer", sent_headers={},
        sent=f'{{"ivr_key": "{PAYMENT_KEY}"}}', status=200, reply='{"amount": 200.00}', ms=1900,
    )  # fmt: skip
    head = "\r\nCall-ID: abc@x\r\nFrom: <sip:1001@x>;tag=1\r\nCSeq: 1 INVITE\r\n\r\n"
    telephone = ("10.0.0.7", 5060)
    heard = [
        ("received", "INVITE sip:5000@127.0.0.1 SIP/2.0", 99.95),
        ("sent", "SIP/2.0 100 Trying", 99.96),
        ("sent", "SIP/2.0 200 OK", 100.0),
    ]
    sip = [read_sip(way, (line + head).encode(), telephone, when) for way, line, when in heard]
    return SimpleNamespace(
        records=[Record(n, "0001", t, at, event) for n, (t, event) in enumerate(told, 1)],
        caller=caller,
        ivr=ivr,
        exchanges=[(3.1, exchange)],
        sip=sip,
        masks=(secret, published),
        zero=100.0,
        card=CARD,
        key=KEY,
    )
