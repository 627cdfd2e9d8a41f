"""What one `serve` has up, and how programs find their way in it: the state file."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from authorizer import PaymentKey
from ivr_sim.accounts import kept_accounts
from ivr_sim.call import Phrase
from ivr_sim.diagnosis import Diagnosis
from ivr_sim.dialogue import Limits
from ivr_sim.errors import ConfigurationError
from ivr_sim.journal import Journal
from ivr_sim.legs import Tape
from ivr_sim.merchant import Merchant, Outside
from ivr_sim.node import (
    DOMAIN,
    ECHO,
    KEYPAD,
    MERCHANT,
    MERCHANT_KEYS,
    Node,
    PbxAccount,
    line_users,
    local_now,
    local_today,
)
from ivr_sim.ports import Port, choose
from ivr_sim.prompts import Catalogue
from ivr_sim.reports import CallFolders
from ivr_sim.settings import Settings
from ivr_sim.sip.message import BadMessage
from ivr_sim.sip.tls import Tls, self_signed
from ivr_sim.sip.transport import ANYWHERE, LOOPBACK, LOOPBACK_6, local_host
from ivr_sim.sip.uri import Uri
from ivr_sim.sip.user_agent import RegistrationRefused
from ivr_sim.standing import StandingKeys

__all__ = ["Served", "caution", "fresh_key", "prepare", "state_of"]

FRESH = Decimal("150.00")
SIP, AUTHORIZER, OPENPAY = 5060, 8081, 8082  # ports, unless others are asked for
REGISTER_PASSWORD = "IVR_SIM_REGISTER_PASSWORD"
AUTHORIZER_PASSWORD, OPENPAY_KEY = "IVR_AUTHORIZER_PASSWORD", "IVR_OPENPAY_KEY"
NUMBERS = {"merchant_keys": MERCHANT_KEYS, "echo": ECHO, "keypad": KEYPAD}


@dataclass(frozen=True)
class Served:
    """Everything of one serve. ports: by what listens there."""

    settings: Settings
    data: Path
    journal: Journal
    node: Node
    merchant: Merchant
    standing: StandingKeys | None
    ports: Mapping[str, Port]

    @property
    def host(self) -> str:
        """The address that telephones register at: of this machine in its network, or loopback."""
        if not self.settings.lan:
            return "127.0.0.1"
        return self.node.outside

    async def start(self) -> None:
        """Have everything listen; the line has registered then. Raises ConfigurationError."""
        self.merchant.start()
        if self.standing is not None:
            self.standing.issue(self.merchant.keys, self.merchant.keys_url)
            self.journal.subscribe(self.standing.read)
        try:
            await self.node.start()
        except RegistrationRefused as refused:
            where = f" at {self.settings.register_at}" if self.settings.register_at else ""
            raise ConfigurationError(f"the line could not register{where}: {refused}") from refused

    @property
    def lines_given_up(self) -> list[str]:
        """The line processes that ended again and again, and are started no more."""
        return [] if self.node.crew is None else self.node.crew.given_up

    async def lines_lost(self) -> None:
        """Returns when nobody takes calls any more: all line processes were given up. Else, never."""
        await (Deferred[None]() if self.node.crew is None else self.node.crew.lost)

    async def stop(self) -> None:
        """End calls politely, await charges under way, and close."""
        await self.node.stop()
        await self.merchant.stop()


def caution(settings: Settings) -> tuple[str, str] | None:
    """What is less secret with these settings than it looks, and what to do; None when nothing is."""
    if settings.srtp == "off":
        return None
    said = f"srtp is {settings.srtp}, but SIP is not encrypted {{}}: who reads it has the keys of the audio"
    if settings.tls_port is None:
        return said.format("here"), "Set tls_port, too (IVR_SIM_TLS_PORT=5061), and register by TLS."
    if settings.register_at is not None and _transport(settings.register_at) != "TLS":
        return said.format("to the PBX"), "Register there by TLS: --register sips:USER@PBX."
    return None


def _transport(address: str) -> str:
    try:
        return Uri.parse(address).address().transport
    except BadMessage:
        return "UDP"


def fresh_key(merchant: Merchant) -> PaymentKey:
    """A payment key that nobody has used, payable for a day. Raises AuthorizerError."""
    order = f"fresh-{local_now():%y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return merchant.keys.issue(FRESH, "Cargo IVR", order, expires_in=timedelta(days=1))


def state_of(served: Served) -> dict[str, Any]:
    """The state as JSON: where everything is, and what it takes to call and pay. Holds passwords."""
    merchant, node = served.merchant, served.node
    keys = []
    if served.standing is not None:
        for number, key in served.standing.current().items():
            keys.append(_key(key, number, standing=True))
        keys += [_key(key, key.key, standing=False) for key in (fresh_key(merchant) for _ in range(3))]
    asked, charging = merchant.asked, merchant.charging
    ours = served.settings.openpay is None
    return {
        "v": 1,
        "sip": {
            "host": served.host,
            "port": node.exchange.port,
            "tls": None
            if node.tls is None
            else {
                "port": node.exchange.tls_port,
                "certificate": str(node.tls.certificate),
                "sha256": node.tls.fingerprint,
            },
            "srtp": served.settings.srtp,
            "domain": DOMAIN,
            "accounts": [{"user": u, "password": p} for u, p in node.accounts.items() if u in node.users],
            "numbers": NUMBERS,
        },
        "authorizer": {"url": asked.url, "user": asked.user, "password": asked.password},
        "openpay": {
            "url": charging.url,
            "merchant_id": charging.user,
            "private_key": charging.password,
            "public_key": merchant.public_key if ours else None,
        },
        "keys": keys,
        "console": None,
    }


def _key(key: PaymentKey, number: str, *, standing: bool) -> dict[str, Any]:
    return {
        "ivr_key": number,
        "amount": str(key.amount),
        "order_id": key.order_id,
        "description": key.description,
        "standing": standing,
    }


def prepare(
    reactor: Any,
    settings: Settings,
    data: Path,
    environ: Mapping[str, str],
    *,
    tapes: Callable[[str], Tape] | None = None,
) -> Served:
    """Put everything together that these settings ask for; nothing listens yet.

    tapes: ``Ivr``'s. Raises ConfigurationError.
    """
    host = "0.0.0.0" if settings.lan else "127.0.0.1"  # noqa: S104  that is what --lan asks for
    ports = {
        "SIP": choose(host, SIP, settings.sip_port, socket.SOCK_DGRAM, socket.SOCK_STREAM),
        "authorizer": choose(settings.http_host, AUTHORIZER, settings.authorizer_port, socket.SOCK_STREAM),
        "Openpay stand-in": choose(settings.http_host, OPENPAY, settings.openpay_port, socket.SOCK_STREAM),
    }
    if settings.authorizer is not None:
        del ports["authorizer"]
    if settings.openpay is not None:
        del ports["Openpay stand-in"]
    standing = StandingKeys(now=local_now) if settings.authorizer is None else None
    merchant = Merchant(
        reactor,
        data / MERCHANT,
        now=local_now,
        host=settings.http_host,
        authorizer_port=ports.get("authorizer", Port(0)).number,
        openpay_port=ports.get("Openpay stand-in", Port(0)).number,
        around=standing.around if standing else None,
        at_authorizer=_outside(settings.authorizer, settings.user, AUTHORIZER_PASSWORD, "--user", environ),
        at_openpay=_outside(settings.openpay, settings.merchant_id, OPENPAY_KEY, "--merchant-id", environ),
    )
    lines = settings.lines if tapes is None else 0  # tapes are kept where the calls are: here
    journal = Journal(local_now)
    accounts = kept_accounts(data)
    catalogue = Catalogue(settings.language)
    folders = CallFolders(
        data / "calls",
        journal,
        reactor,
        words=lambda name, params: catalogue.text(Phrase(name, params)),
        settings=settings.model_dump(mode="json"),
        lines=line_users(lines),
    )
    node = Node(
        reactor,
        merchant,
        journal,
        data=data,
        folders=folders,
        diagnosis=Diagnosis(
            reactor,
            journal,
            domain=DOMAIN,
            accounts=accounts,
            rtp_ports=(settings.rtp_first, settings.rtp_last),
            srtp=settings.srtp,
        ),
        name=settings.shop,
        accounts=accounts,
        host=host,
        advertise=settings.advertise,
        sip_port=ports["SIP"].number,
        tls=_tls(settings, data, host),
        srtp=settings.srtp,
        rtp_ports=(settings.rtp_first, settings.rtp_last),
        register=_pbx(settings, environ),
        language=settings.language,
        limits=Limits(key_length=settings.key_length),
        tapes=tapes,
        lines=lines,
    )
    return Served(settings, data, journal, node, merchant, standing, ports)


def _outside(
    url: str | None, user: str | None, variable: str, option: str, environ: Mapping[str, str]
) -> Outside | None:
    if url is None:
        return None
    if not user:
        raise ConfigurationError(f"{option} is needed beside {url}")
    password = environ.get(variable)
    if not password:
        raise ConfigurationError(f"set {variable} to the password of {user} at {url}")
    return Outside(url, user, password)


def _tls(settings: Settings, data: Path, host: str) -> Tls | None:
    """SIP over TLS, by the certificate that was given, or one of our own in the data folder."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if (certificate is None) != (key is None):
        raise ConfigurationError("tls_certificate and tls_key belong together; set both, or neither")
    if settings.tls_port is None:
        if certificate is not None:
            raise ConfigurationError("tls_certificate is for SIP over TLS: set tls_port too, to 5061 mostly")
        return None
    if certificate is None or key is None:
        names = [DOMAIN, "localhost", LOOPBACK, LOOPBACK_6, local_host(host, ANYWHERE, settings.advertise)]
        certificate, key = self_signed(data / "tls", names, local_today())
    return _believing(Tls(settings.tls_port, certificate.absolute(), key.absolute(), settings.tls_authority))


def _believing(tls: Tls) -> Tls:
    """The same, once it is known that its authorities can be read. Raises ConfigurationError."""
    tls.client_options(LOOPBACK)
    return tls


def _pbx(settings: Settings, environ: Mapping[str, str]) -> PbxAccount | None:
    address = settings.register_at
    if address is None:
        return None
    wanted = "--register takes sip:USER@HOST[:PORT], or sips: for TLS"
    try:
        uri = Uri.parse(address)
        server = uri.address()
    except BadMessage:
        raise ConfigurationError(f"{wanted}, not {address!r}") from None
    if ":" in address.partition(":")[2].partition("@")[0]:
        raise ConfigurationError(f"--register takes no password: set {REGISTER_PASSWORD} to it")
    if not uri.user:
        raise ConfigurationError(f"{wanted}, and {address!r} names no user")
    tls = None
    if server.transport == "TLS":
        tls = _believing(Tls(trust=settings.tls_authority, name=server.host))
    try:
        server = server._replace(host=socket.gethostbyname(server.host))
    except OSError:
        raise ConfigurationError(f"the PBX {server.host!r} has no address: is the name right?") from None
    return PbxAccount(user=uri.user, password=environ.get(REGISTER_PASSWORD, ""), server=server, tls=tls)
