"""The composition root: what runs in one process, started and stopped in order.

merchant (authorizer, stand-in) -> prompts and voice -> media engine -> exchange -> ledger -> IVR line

With ``lines`` the last step is a crew of line processes, each with a voice and a media engine of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import dtmf
from ivr_sim.call import phrase
from ivr_sim.clients import Cashier
from ivr_sim.diagnosis import Diagnosis
from ivr_sim.dialogue import Limits
from ivr_sim.errors import ConfigurationError
from ivr_sim.http_exchange import HttpExchange
from ivr_sim.ivr import CallFiles, Ivr, Recordings
from ivr_sim.journal import Journal, PhoneRegistered, PhoneUnregistered
from ivr_sim.journal import SourceBanned as BanTold
from ivr_sim.ledger import Ledger
from ivr_sim.legs import Tape
from ivr_sim.lines import (
    ECHO,
    KEYPAD,
    MERCHANT_KEYS,
    NUMBERS,
    Line,
    LineCrew,
    LineOrder,
    PbxAccount,
    open_library,
)
from ivr_sim.lines.line import media_host
from ivr_sim.lines.message import split_ports
from ivr_sim.local_time import ZONE, local_now, local_today
from ivr_sim.media import MediaEngine, srtp_library
from ivr_sim.merchant import Merchant
from ivr_sim.prompts import DEFAULT_LANGUAGE, VoiceFailed, VoiceMissing
from ivr_sim.sip.crypto import SrtpUse
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.exchange_event import ExchangeEvent, Registered, SourceBanned, Unregistered
from ivr_sim.sip.tls import Tls
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
    "line_users",
    "local_now",
    "local_today",
    "open_library",
]

SHOP = "Tienda Demo"
LINE = "ivr"  # with lines in processes of their own: ivr-1, ivr-2 and so on
LEDGER, MERCHANT = "ledger.sqlite3", "merchant"  # in a data folder
DOMAIN = "ivr.test"


def line_users(lines: int) -> tuple[str, ...]:
    """The accounts of the lines at the exchange; none in processes of their own: one in the node's."""
    return tuple(f"{LINE}-{n}" for n in range(1, lines + 1)) or (LINE,)


OnExchange = Callable[[HttpExchange], None]


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
    advertise: what others than this machine are told then. sip_port: 0 for any. srtp: ``UserAgent``'s, of
    the lines and of ``phone``. register: the account at a PBX that the line registers with as well.
    diagnosis: tells what does not work. today: the date that the dialogue goes by. language: what the line
    speaks. tapes: ``Ivr``'s. ledger: its database's SQLAlchemy URL, unless it is the data folder's. lines:
    how many processes carry the calls; 0: this one does (tapes and another ``today`` are for this one only).
    Raises UnknownLanguage, ConfigurationError.
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
        tls: Tls | None = None,
        srtp: SrtpUse = "off",
        rtp_ports: tuple[int, int] = (16384, 32766),
        register: PbxAccount | None = None,
        diagnosis: Diagnosis | None = None,
        today: Callable[[], date] = local_today,
        limits: Limits | None = None,
        language: str = DEFAULT_LANGUAGE,
        tapes: Callable[[str], Tape] | None = None,
        ledger: str | None = None,
        lines: int = 0,
    ) -> None:
        if srtp != "off":
            srtp_library()
        self._srtp: SrtpUse = srtp
        self.tls = tls
        self._reactor = reactor
        self._merchant = merchant
        self._journal = journal
        self._name = name
        self._today = today
        self._limits = limits
        self._tapes = tapes
        self._ledger_url = ledger or f"sqlite:///{data / LEDGER}"
        self._folders, self._recordings = folders, Recordings(out)
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
        self._line_users = line_users(lines)
        self.accounts = {**accounts, **{line: secrets.token_hex(12) for line in self._line_users}}
        self._in_processes = bool(lines)
        self._data, self._language = data, language
        try:
            shares = split_ports(*rtp_ports, lines) if lines else [rtp_ports]
        except ValueError as few:
            raise ConfigurationError(f"media ports: {few}; widen rtp_first to rtp_last") from None
        self._line_ports = dict(zip(self._line_users, shares, strict=True))
        self.media = MediaEngine(reactor, host=media_host(host, register), ports=rtp_ports, keys=dtmf.KEYS_12)
        self.exchange = Exchange(
            reactor,
            host=host,
            port=sip_port,
            domain=DOMAIN,
            accounts=self.accounts,
            lines=self._line_users,
            on_event=self._exchange_event,
            trace=None if folders is None else folders.sip,
            advertise=advertise,
            tls=tls,
        )
        self._ledger: Ledger | None = None
        self._cashier: Cashier | None = None
        self._line: Line | None = None
        self._ivr: Ivr | None = None
        self.crew: LineCrew | None = None

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
        if self._diagnosis is not None:
            self._diagnosis.start(
                self._host, self.exchange.port, lan=[] if self._host == self._here else [self.outside]
            )
        if self._in_processes:
            self.crew = self._crew(cashier, self._ledger, shown)
            await self.crew.start()
        else:
            self._line = self._line_here(cashier, shown)
            await self._line.start()
        with suppress(VoiceMissing, VoiceFailed):  # the call says so, if it comes to that
            await self.library.sound(phrase("welcome", merchant=self._name))

    def _line_here(self, cashier: Cashier, shown: OnExchange | None) -> Line:
        shop = self._merchant.shop(
            self._name, cashier, today=self._today, limits=self._limits, on_exchange=shown
        )
        self._ivr = Ivr(
            shop,
            self.library,
            self._journal,
            files=self._files,
            numbers=NUMBERS,
            tapes=self._tapes,
        )
        return Line(
            self._reactor,
            self.media,
            self._ivr,
            self._account(LINE),
            pbx=self._register,
            watch=self._diagnosis,
            advertise=self._advertise,
            srtp=self._srtp,
        )

    def _crew(self, cashier: Cashier, ledger: Ledger, shown: OnExchange | None) -> LineCrew:
        return LineCrew(
            self._reactor,
            self._line_users,
            order=self._order,
            journal=self._journal,
            files=self._files,
            cashier=cashier,
            ledger=ledger,
            on_lost=self.exchange.line_lost,
            on_exchange=shown,
        )

    def _order(self, user: str) -> LineOrder:
        return LineOrder(
            account=self._account(user),
            access=self._merchant.access,
            data=self._data,
            shop=self._name,
            language=self._language,
            host=self._host,
            rtp_ports=self._line_ports[user],
            limits=self._limits or Limits(),
            # A PBX would ring all that register there with one account.
            pbx=self._register if user == self._line_users[0] else None,
            advertise=self._advertise,
            srtp=self._srtp,
            watch=self._diagnosis is not None,
        )

    @property
    def _files(self) -> CallFiles:
        return self._folders or self._recordings

    def _account(self, user: str) -> PbxAccount:
        server = Address(self._here, self.exchange.port)
        return PbxAccount(user=user, password=self.accounts[user], server=server)

    def _exchange_event(self, event: ExchangeEvent) -> None:
        """Telephones that come and go, once for each place, and sources that are banned: into the journal."""
        if isinstance(event, Registered) and event.user not in self._line_users:
            place = event.user, event.contact, event.source
            if place not in self._phones:
                self._phones.add(place)
                self._journal.emit(
                    PhoneRegistered(
                        user=event.user,
                        source=str(event.source),
                        contact=event.contact,
                        user_agent=event.user_agent,
                        expires_in=round(event.expires_in),
                    )
                )
        elif isinstance(event, Unregistered) and event.user not in self._line_users:
            self._phones = {p for p in self._phones if p[:2] != (event.user, event.contact)}
            self._journal.emit(PhoneUnregistered(user=event.user, contact=event.contact))
        elif isinstance(event, SourceBanned):
            self._journal.emit(
                BanTold(source=event.source, reason=event.reason, seconds=round(event.seconds))
            )
        if self._diagnosis is not None:
            self._diagnosis.exchange_event(event)

    @property
    def busy(self) -> bool:
        """Whether calls are up, here or in the lines' processes."""
        return bool(self.media.streams or self.exchange.calls)

    @property
    def outside(self) -> str:
        """The address by which telephones elsewhere in the network reach this machine."""
        return self._advertise or local_host(WILDCARDS[0], ANYWHERE)

    async def settle(self) -> None:
        """Wait until the calls under way here are over and their recordings written."""
        if self._ivr is not None:
            await self._ivr.settle()

    async def stop(self) -> None:
        """Stop everything in reverse: calls end politely, charges under way are awaited."""
        if self.crew is not None:
            await self.crew.stop()
        if self._line is not None:
            await self._line.stop()
        if self._diagnosis is not None:
            self._diagnosis.stop()
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
        account = self._account(user)
        return UserAgent(
            self._reactor,
            self.media,
            server=account.server,
            username=account.user,
            password=account.password,
            host=self._here,
            on_call=on_call,
            advertise=self._advertise,
            srtp=self._srtp,
        )
