"""One IVR line: it registers, takes calls, and holds the conversation."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog

from ivr_sim.dialogue import echo_test, keypad_test
from ivr_sim.ivr import Conversation, Ivr
from ivr_sim.media import MediaEngine
from ivr_sim.prompts import DEFAULT_LANGUAGE, Catalogue, Library, PicoVoice
from ivr_sim.sip.crypto import SrtpUse
from ivr_sim.sip.message import BadMessage, Request
from ivr_sim.sip.tls import Tls
from ivr_sim.sip.transport import WILDCARDS, Address, local_host
from ivr_sim.sip.user_agent import Session, UserAgent

__all__ = [
    "ECHO",
    "KEYPAD",
    "MERCHANT_KEYS",
    "NUMBERS",
    "Line",
    "PbxAccount",
    "Watch",
    "media_host",
    "open_library",
]

log = structlog.get_logger(__name__)

MERCHANT_KEYS, ECHO, KEYPAD = "5000", "5008", "5009"
NUMBERS: Mapping[str, Conversation] = {ECHO: echo_test, KEYPAD: keypad_test}
CACHE = "IVR_SIM_CACHE"  # of the environment: it is one machine's, whoever's data folder needs a prompt


@dataclass(frozen=True, kw_only=True)
class PbxAccount:
    """An account at an exchange, ours or somebody else's.

    server: its host and port, and the transport that it is reached by. tls: for TLS, whom to believe.
    """

    user: str
    password: str = field(repr=False)
    server: Address
    tls: Tls | None = None


class Watch(Protocol):
    """Who tells what is wrong with a line's calls: ``Diagnosis`` or ``LineWatch``."""

    def watching(self, on_call: Callable[[Session], Any]) -> Callable[[Session], Any]:
        """The same taker of calls, whose calls are watched."""
        ...

    def call_refused(self, request: Request, error: BadMessage) -> None:
        """A call could not be taken as it was offered."""
        ...


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


def media_host(host: str, pbx: PbxAccount | None) -> str:
    """Where media is listened for: all addresses when a PBX is not on this machine."""
    away = pbx is not None and not pbx.server.host.startswith("127.")
    return WILDCARDS[0] if away else host


class Line:
    """The telephones of one line, and the IVR that answers them.

    account: at our exchange, which is on this machine. pbx: the account at a PBX that the line registers
    with as well. offered: takes each call, by default ``ivr.offered``. watch: tells what is wrong with
    calls. advertise, srtp: ``UserAgent``'s.

    A call that comes while the calls that are up take all the machine is refused with 503: the exchange then
    asks another line, and those that are up stay whole.
    """

    def __init__(
        self,
        reactor: Any,
        media: MediaEngine,
        ivr: Ivr,
        account: PbxAccount,
        *,
        pbx: PbxAccount | None = None,
        offered: Callable[[Session], Any] | None = None,
        watch: Watch | None = None,
        advertise: str | None = None,
        srtp: SrtpUse = "off",
    ) -> None:
        self._reactor = reactor
        self._media = media
        self._ivr = ivr
        self._watch = watch
        self._advertise = advertise
        self._srtp: SrtpUse = srtp
        self._taken = offered or ivr.offered
        on_call = self._offered if watch is None else watch.watching(self._offered)
        self._agents = [self._agent(account, account.server.host, on_call)]
        if pbx is not None:
            host = local_host(media.host, pbx.server.host)
            # Nobody else calls past the exchange, which asks for passwords.
            self._agents.append(self._agent(pbx, host, on_call, only_from=pbx.server.host))

    async def start(self) -> None:
        """Register. Raises RegistrationRefused, CannotListen."""
        for agent in self._agents:
            await agent.start()

    async def stop(self) -> None:
        """Take no more calls, end those under way politely, await their charges, and de-register."""
        for agent in self._agents:
            agent.on_call = None  # or whoever called meanwhile would be cut off without being awaited
        await self._ivr.drain()
        for agent in self._agents:
            await agent.stop()

    def _offered(self, session: Session) -> Any:
        if self._media.overloaded:
            log.warning("a call was refused: those that are up take all that there is; try more --lines")
            session.reject(503)
            return None
        return self._taken(session)

    def _agent(
        self,
        account: PbxAccount,
        host: str,
        on_call: Callable[[Session], Any],
        *,
        only_from: str | None = None,
    ) -> UserAgent:
        return UserAgent(
            self._reactor,
            self._media,
            server=account.server,
            username=account.user,
            password=account.password,
            host=host,
            only_from=only_from,
            on_call=on_call,
            on_refused=None if self._watch is None else self._watch.call_refused,
            advertise=self._advertise,
            srtp=self._srtp,
            tls=account.tls,
        )
