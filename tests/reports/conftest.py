"""Whole calls that leave folders: one merchant, one node, real SIP and HTTP on loopback."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from ivr_sim.call import Phrase
from ivr_sim.dialogue import Limits
from ivr_sim.harness import Caller, Script
from ivr_sim.journal import Journal, Record
from ivr_sim.merchant import Merchant
from ivr_sim.node import MERCHANT_KEYS, Node, local_now
from ivr_sim.prompts import Catalogue
from ivr_sim.reports import CallFolders


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
        self.folders = CallFolders(
            self.root, self.journal, reactor, words=words, settings={"language": "es-MX", "api_password": "x"}
        )
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
