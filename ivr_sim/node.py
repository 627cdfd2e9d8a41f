"""The composition root: what runs in one process, started and stopped in order.

merchant (authorizer, stand-in) -> prompts and voice -> media engine -> exchange -> ledger -> IVR line
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import dtmf
from ivr_sim.call import phrase
from ivr_sim.clients import Cashier
from ivr_sim.diagnosis import Diagnosis
from ivr_sim.dialogue import Limits, echo_test, keypad_test
from ivr_sim.http_exchange import HttpExchange
from ivr_sim.ivr import CallFiles, Conversation, Ivr, Recordings
from ivr_sim.journal import Journal, PhoneRegistered, PhoneUnregistered
from ivr_sim.ledger import Ledger
from ivr_sim.legs import Tape
from ivr_sim.media import MediaEngine
from ivr_sim.merchant import Merchant
from ivr_sim.prompts import DEFAULT_LANGUAGE, Catalogue, Library, PicoVoice, VoiceFailed, VoiceMissing
from ivr_sim.sip.exchange import Exchange, ExchangeEvent, Registered, Unregistered
from ivr_sim.sip.transport import ANYWHERE, WILDCARDS, Address, local_host
from ivr_sim.sip.user_agent import UserAgent

__all__ = [
    "DOMAIN",
    "ECHO",
    "KEYPAD",
    "LEDGER",
    "MERCHANT",
    "MERCHANT_KEYS",
    "SHOP",
    "ZONE",
    "CallKeeper",
    "Node",
    "PbxAccount",
    "local_now",
    "local_today",
    "open_library",
]

MERCHANT_KEYS, ECHO, KEYPAD = "5000", "5008", "5009"
SHOP = "Tienda Demo"
NUMBERS: Mapping[str, Conversation] = {ECHO: echo_test, KEYPAD: keypad_test}
LINE = "ivr"
LEDGER, MERCHANT = "ledger.sqlite3", "merchant"  # in a data folder
DOMAIN = "ivr.test"
CACHE = "IVR_SIM_CACHE"  # of the environment: it is one machine's, whoever's data folder needs a prompt
ZONE = ZoneInfo("America/Mexico_City")


def local_now() -> datetime:
    """The wall clock in the merchants' time zone."""
    return datetime.now(ZONE)


def local_today() -> date:
    """The date by which a card's expiry is judged."""
    return local_now().date()


def open_library(reactor: Any, data: Path, language: str = DEFAULT_LANGUAGE) -> tuple[Library, PicoVoice]:
    """The prompts of a data folder in one language, and the voice behind them.

    ``prompts`` there is the cache of rendered ones, unless IVR_SIM_CACHE names another folder; recordings
    in ``recorded`` (``NAME.wav``, by the names of the catalogue; of any language but the default in a
    folder of its own, ``recorded/en-US``) take their place. Raises UnknownLanguage, and ConfigurationError
    for a recording that cannot be used.
    """
    catalogue = Catalogue(language)
    voice = PicoVoice(reactor, language)
    recorded = data / "recorded"
    if language != DEFAULT_LANGUAGE:
        recorded /= language
    overrides = recorded if recorded.is_dir() else None
    cache = Path(os.environ.get(CACHE) or data / "prompts")
    return Library(catalogue, voice, cache=cache, overrides=overrides), voice


@dataclass(frozen=True, kw_only=True)
class PbxAccount:
    """An account at somebody else's exchange: server is its host and port."""

    user: str
    password: str = field(repr=False)
    server: Address


class CallKeeper(CallFiles, Protocol):
    """Who keeps all that calls leave, such as ``reports.CallFolders``."""

    def sip(self, direction: str, data: bytes, peer: Address) -> None:
        """A datagram that the exchange received or sent."""
        ...

    def http(self, exchange: HttpExchange) -> None:
        """A request that is over, in the context of the call that it was made for."""
        ...

    async def stop(self) -> None:
        """No call is under way any more."""
        ...


class Node:
    """A whole IVR in one process.

    merchant: whose services already listen. data: the data folder. out: where recordings go, or None
    for none; folders: where all that a call leaves goes instead. accounts: the users that may register with
    the exchange, besides the line, with their passwords or without. host: one address, or 0.0.0.0 for all;
    advertise: what others than this machine are told then. sip_port: 0 for any. register: the account at a
    PBX that the line registers with as well. diagnosis: tells what does not work. today: the date that the
    dialogue goes by. language: what the line speaks. tapes: ``Ivr``'s. ledger: its database's
    SQLAlchemy URL, unless it is the data folder's. Raises UnknownLanguage, ConfigurationError.
    """

    def __init__(
        self,
        reactor: Any,
        merchant: Merchant,
        journal: Journal,
        *,
        data: Path,
        out: Path | None = None,
        folders: CallKeeper | None = None,
        name: str = SHOP,
        accounts: Mapping[str, str] | Iterable[str] = ("1001",),
        host: str = "127.0.0.1",
        advertise: str | None = None,
        sip_port: int = 0,
        rtp_ports: tuple[int, int] = (16384, 32766),
        register: PbxAccount | None = None,
        diagnosis: Diagnosis | None = None,
        today: Callable[[], date] = local_today,
        limits: Limits | None = None,
        language: str = DEFAULT_LANGUAGE,
        tapes: Callable[[str], Tape] | None = None,
        ledger: str | None = None,
    ) -> None:
        self._reactor = reactor
        self._merchant = merchant
        self._journal = journal
        self._name = name
        self._today = today
        self._limits = limits
        self._tapes = tapes
        self._ledger_url = ledger or f"sqlite:///{data / LEDGER}"
        self._out, self._folders = out, folders
        self._diagnosis = diagnosis
        self._phones: set[tuple[str, str, Address]] = set()
        self._advertise = advertise
        self._register = register
        self._host = host
        self._here = "127.0.0.1" if host in WILDCARDS else host  # where this machine finds itself
        self.library, self._voice = open_library(reactor, data, language)
        if not isinstance(accounts, Mapping):
            accounts = {user: secrets.token_hex(6) for user in accounts}
        self.users = tuple(accounts)
        self.accounts = {**accounts, LINE: secrets.token_hex(12)}
        away = register is not None and not register.server[0].startswith("127.")
        self.media = MediaEngine(
            reactor,
            host=WILDCARDS[0] if away else host,
            ports=rtp_ports,
            keys=dtmf.KEYS_12,
        )
        self.exchange = Exchange(
            reactor,
            host=host,
            port=sip_port,
            domain=DOMAIN,
            accounts=self.accounts,
            lines=[LINE],
            on_event=self._exchange_event,
            trace=None if folders is None else folders.sip,
            advertise=advertise,
        )
        self._ledger: Ledger | None = None
        self._cashier: Cashier | None = None
        self._lines: list[UserAgent] = []
        self._ivr: Ivr | None = None

    async def start(self) -> None:
        """Start everything; returns when the line has registered, its first words at hand.

        Raises ConfigurationError, RegistrationRefused.
        """
        self.media.start()
        self.exchange.start()
        self._ledger = Ledger(self._ledger_url, now=local_now)
        shown = None if self._folders is None else self._folders.http
        cashier = self._cashier = self._merchant.cashier(self._ledger, self._journal, on_exchange=shown)
        await cashier.start()
        shop = self._merchant.shop(
            self._name, cashier, today=self._today, limits=self._limits, on_exchange=shown
        )
        ivr = self._ivr = Ivr(
            shop,
            self.library,
            self._journal,
            files=self._folders or Recordings(self._out),
            numbers=NUMBERS,
            tapes=self._tapes,
        )
        offered: Callable[..., Any] = ivr.offered
        if self._diagnosis is not None:
            self._diagnosis.start(
                self._host, self.exchange.port, lan=[] if self._host == self._here else [self.outside]
            )
            offered = self._diagnosis.watching(offered)
        self._lines = [self.phone(LINE, on_call=offered)]
        if self._register is not None:
            self._lines.append(self._at_pbx(self._register, offered))
        for line in self._lines:
            await line.start()
        with suppress(VoiceMissing, VoiceFailed):  # the call says so, if it comes to that
            await self.library.sound(phrase("welcome", merchant=self._name))

    def _exchange_event(self, event: ExchangeEvent) -> None:
        """Telephones that come and go are told in the journal, once for each place."""
        if isinstance(event, Registered) and event.user != LINE:
            place = event.user, event.contact, event.source
            if place not in self._phones:
                self._phones.add(place)
                self._journal.emit(
                    PhoneRegistered(
                        user=event.user,
                        source="{}:{}".format(*event.source),
                        contact=event.contact,
                        user_agent=event.user_agent,
                        expires_in=round(event.expires_in),
                    )
                )
        elif isinstance(event, Unregistered) and event.user != LINE:
            self._phones = {p for p in self._phones if p[:2] != (event.user, event.contact)}
            self._journal.emit(PhoneUnregistered(user=event.user, contact=event.contact))
        if self._diagnosis is not None:
            self._diagnosis.exchange_event(event)

    @property
    def outside(self) -> str:
        """The address by which telephones elsewhere in the network reach this machine."""
        return self._advertise or local_host(WILDCARDS[0], ANYWHERE)

    async def settle(self) -> None:
        """Wait until the calls under way are over and their recordings written."""
        if self._ivr is not None:
            await self._ivr.settle()

    async def stop(self) -> None:
        """Stop everything in reverse: calls end politely, charges under way are awaited."""
        for line in self._lines:
            line.on_call = None  # or whoever called meanwhile would be cut off without being awaited
        if self._ivr is not None:
            await self._ivr.drain()
        for line in self._lines:
            await line.stop()
        if self._diagnosis is not None:
            await self._diagnosis.stop()
        await self.exchange.stop()
        self.media.stop()
        if self._cashier is not None:
            await self._cashier.stop()
        if self._ledger is not None:
            self._ledger.close()
        if self._folders is not None:
            await self._folders.stop()
        await self._voice.stop()

    def phone(self, user: str, on_call: Callable[..., Any] | None = None) -> UserAgent:
        """A telephone with one of the exchange's accounts; start() registers it."""
        return UserAgent(
            self._reactor,
            self.media,
            server=(self._here, self.exchange.port),
            username=user,
            password=self.accounts[user],
            host=self._here,
            on_call=on_call,
            on_refused=None if self._diagnosis is None or on_call is None else self._diagnosis.call_refused,
            advertise=self._advertise,
        )

    def _at_pbx(self, account: PbxAccount, on_call: Callable[..., Any]) -> UserAgent:
        return UserAgent(
            self._reactor,
            self.media,
            server=account.server,
            username=account.user,
            password=account.password,
            host=local_host(self.media.host, account.server[0]),
            only_from=account.server[0],  # nobody else calls past the exchange, which asks for passwords
            on_call=on_call,
            on_refused=None if self._diagnosis is None else self._diagnosis.call_refused,
            advertise=self._advertise,
        )
