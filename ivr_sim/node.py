"""The composition root: what runs in one process, started and stopped in order.

merchant (authorizer, stand-in) -> prompts and voice -> media engine -> exchange -> ledger -> IVR line
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dtmf
from ivr_sim.call import phrase
from ivr_sim.clients import Cashier
from ivr_sim.dialogue import Limits
from ivr_sim.ivr import Ivr
from ivr_sim.journal import Journal
from ivr_sim.ledger import Ledger
from ivr_sim.media import MediaEngine
from ivr_sim.merchant import Merchant
from ivr_sim.prompts import DEFAULT_LANGUAGE, Catalogue, Library, PicoVoice, VoiceFailed, VoiceMissing
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.user_agent import UserAgent

__all__ = ["LEDGER", "MERCHANT_KEYS", "SHOP", "Node", "local_now", "local_today", "open_library"]

MERCHANT_KEYS = "5000"
SHOP = "Tienda Demo"
LINE = "ivr"
LEDGER = "ledger.sqlite3"
DOMAIN = "ivr.test"
ZONE = ZoneInfo("America/Mexico_City")


def local_now() -> datetime:
    """The wall clock in the merchants' time zone."""
    return datetime.now(ZONE)


def local_today() -> date:
    """The date by which a card's expiry is judged."""
    return local_now().date()


def open_library(reactor: Any, data: Path, language: str = DEFAULT_LANGUAGE) -> tuple[Library, PicoVoice]:
    """The prompts of a data folder in one language, and the voice behind them.

    ``prompts`` there is the cache of rendered ones; recordings in ``recorded`` (``NAME.wav``, by the names
    of the catalogue; of any language but the default in a folder of its own, ``recorded/en-US``) take
    their place. Raises UnknownLanguage, and ConfigurationError for a recording that cannot be used.
    """
    catalogue = Catalogue(language)
    voice = PicoVoice(reactor, language)
    recorded = data / "recorded"
    if language != DEFAULT_LANGUAGE:
        recorded /= language
    overrides = recorded if recorded.is_dir() else None
    return Library(catalogue, voice, cache=data / "prompts", overrides=overrides), voice


class Node:
    """A whole IVR in one process on loopback.

    merchant: whose services already listen. data: the data folder. out: where recordings go, or None
    for none. accounts: the names that may register with the exchange, besides the line. today: the date
    that the dialogue goes by. language: what the line speaks. Raises UnknownLanguage.
    """

    def __init__(
        self,
        reactor: Any,
        merchant: Merchant,
        journal: Journal,
        *,
        data: Path,
        out: Path | None = None,
        name: str = SHOP,
        accounts: tuple[str, ...] = ("1001",),
        host: str = "127.0.0.1",
        sip_port: int = 0,
        today: Callable[[], date] = local_today,
        limits: Limits | None = None,
        language: str = DEFAULT_LANGUAGE,
    ) -> None:
        self._reactor = reactor
        self._merchant = merchant
        self._journal = journal
        self._host = host
        self._name = name
        self._today = today
        self._limits = limits
        self._out = out
        self.library, self._voice = open_library(reactor, data, language)
        self.accounts = {user: secrets.token_hex(6) for user in (*accounts, LINE)}
        self.media = MediaEngine(reactor, host=host, keys=dtmf.KEYS_12)
        self.exchange = Exchange(
            reactor, host=host, port=sip_port, domain=DOMAIN, accounts=self.accounts, lines=[LINE]
        )
        self._data = data
        self._ledger: Ledger | None = None
        self._cashier: Cashier | None = None
        self._line: UserAgent | None = None
        self._ivr: Ivr | None = None

    async def start(self) -> None:
        """Start everything; returns when the line has registered, its first words at hand.

        Raises ConfigurationError.
        """
        self.media.start()
        self.exchange.start()
        self._ledger = Ledger(f"sqlite:///{self._data / LEDGER}", now=local_now)
        cashier = self._cashier = self._merchant.cashier(self._ledger, self._journal)
        await cashier.start()
        shop = self._merchant.shop(self._name, cashier, today=self._today, limits=self._limits)
        ivr = self._ivr = Ivr(shop, self.library, self._journal, recordings=self._out)
        self._line = self.phone(LINE, on_call=ivr.offered)
        await self._line.start()
        with suppress(VoiceMissing, VoiceFailed):  # the call says so, if it comes to that
            await self.library.sound(phrase("welcome", merchant=self._name))

    async def settle(self) -> None:
        """Wait until the calls under way are over and their recordings written."""
        if self._ivr is not None:
            await self._ivr.settle()

    async def stop(self) -> None:
        """Stop everything in reverse: calls end politely, charges under way are awaited."""
        if self._line is not None:
            self._line.on_call = None  # or whoever called meanwhile would be cut off without being awaited
        if self._ivr is not None:
            await self._ivr.drain()
        if self._line is not None:
            await self._line.stop()
        await self.exchange.stop()
        self.media.stop()
        if self._cashier is not None:
            await self._cashier.stop()
        if self._ledger is not None:
            self._ledger.close()
        await self._voice.stop()

    def phone(self, user: str, on_call: Callable[..., Any] | None = None) -> UserAgent:
        """A telephone with one of the exchange's accounts; start() registers it."""
        return UserAgent(
            self._reactor,
            self.media,
            server=(self._host, self.exchange.port),
            username=user,
            password=self.accounts[user],
            host=self._host,
            on_call=on_call,
        )
