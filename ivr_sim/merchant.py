"""One merchant on loopback: its authorizer, and its account at the Openpay stand-in, both over HTTP.

What runs here are the real services, as a merchant would run them: the Flask authorizer on its database
of payment keys, and the stand-in on its own, each with a thread pool of its own beside the reactor.
"""

from __future__ import annotations

import random
import secrets
import string
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from authorizer import KeyStore, create_app
from ivr_sim import openpay
from ivr_sim.clients import BETWEEN_LOOKS, Access, Cashier, Outside
from ivr_sim.dialogue import Limits, Shop
from ivr_sim.errors import ConfigurationError
from ivr_sim.http_exchange import HttpExchange
from ivr_sim.journal import Journal
from ivr_sim.kept import kept
from ivr_sim.ledger import Ledger
from ivr_sim.wsgi import WebServer

__all__ = ["Merchant", "Outside", "Way"]

PATH = "/openpay/authorizer"
PRODUCTION = {f"api.openpay.{country}" for country in ("mx", "co", "pe")}
Wsgi = Callable[..., Any]


class Way(Protocol):
    """A detour to a service on this machine: a port of its own, once it was told the service's."""

    @property
    def port(self) -> int:
        """Where the service is reached."""
        ...

    def start(self, upstream: int) -> None:
        """Lead to the service that listens on this port."""
        ...

    async def stop(self) -> None:
        """Lead nowhere any more."""
        ...


class Merchant:
    """A merchant whose services listen on loopback.

    folder: where its databases lie and, made once and kept, its account at the stand-in and its
    passwords; None: all of that is in memory, for one call. now: the wall clock, aware of its zone. host:
    where the two listen; authorizer_port, openpay_port: 0 for any free one. around: wraps the authorizer.
    to_authorizer, to_openpay: detours by which the IVR reaches ours, for faults. seed: makes what is drawn
    for a charge the same each time. at_authorizer, at_openpay: somebody else's service, used instead of
    ours. Raises ConfigurationError.
    """

    def __init__(
        self,
        reactor: Any,
        folder: Path | None,
        *,
        now: Callable[[], datetime],
        authorizer_port: int = 0,
        openpay_port: int = 0,
        around: Callable[[Wsgi], Wsgi] | None = None,
        to_authorizer: Way | None = None,
        to_openpay: Way | None = None,
        seed: str | None = None,
        host: str = "127.0.0.1",
        at_authorizer: Outside | None = None,
        at_openpay: Outside | None = None,
    ) -> None:
        if at_openpay is not None and (urlsplit(at_openpay.url).hostname or "") in PRODUCTION:
            raise ConfigurationError("that is Openpay's production: no real card is charged here")
        self._outside = at_authorizer, at_openpay
        # At somebody else's Openpay, attempts of all times meet: none may have another one's name.
        drawn = random.Random(seed) if seed is not None and at_openpay is None else random.SystemRandom()
        self._new_attempt = lambda: f"{drawn.getrandbits(64):016x}"
        self._ways = to_authorizer, to_openpay
        self._reactor = reactor
        self._now = now
        self.user = "openpay"
        account = _account() if folder is None else kept(folder / "account.json", _account)
        try:
            self.password = account["password"]
            self.merchant_id = account["merchant_id"]
            self.private_key = account["private_key"]
            self.public_key = account["public_key"]
        except KeyError as missing:
            raise ConfigurationError(f"{folder}/account.json has no {missing}; move it away") from None
        self.keys_url = _url_of(folder, "authorizer.sqlite3")
        self.keys = KeyStore(self.keys_url, now=now)
        self.charges = openpay.Store(_url_of(folder, "openpay.sqlite3"))
        app: Wsgi = create_app(self.keys, user=self.user, password=self.password, path=PATH)
        self.authorizer = WebServer(
            reactor,
            around(app) if around else app,
            host=host,
            port=authorizer_port,
            name="authorizer",
        )
        self.openpay = WebServer(
            reactor,
            openpay.create_app(
                self.charges,
                merchant_id=self.merchant_id,
                private_key=self.private_key,
                public_key=self.public_key,
                now=now,
                randbelow=secrets.randbelow if seed is None else random.Random(seed).randrange,
            ),
            host=host,
            port=openpay_port,
            name="openpay stand-in",
        )

    def start(self) -> None:
        """Listen. Raises ConfigurationError when a port is taken."""
        for server, way, outside in zip(
            (self.authorizer, self.openpay), self._ways, self._outside, strict=True
        ):
            if outside is None:
                server.start()
                if way is not None:
                    way.start(server.port)

    async def stop(self) -> None:
        """Stop listening, and close the databases."""
        for way in self._ways:
            if way is not None:
                await way.stop()
        await self.authorizer.stop()
        await self.openpay.stop()
        self.keys.close()
        self.charges.close()

    @property
    def authorizer_url(self) -> str:
        """Where the IVR asks for payment keys."""
        outside = self._outside[0]
        return outside.url if outside else _near(self.authorizer.url, self._ways[0]) + PATH

    @property
    def asked(self) -> Outside:
        """The authorizer that is asked, and by whom."""
        return self._outside[0] or Outside(self.authorizer_url, self.user, self.password)

    @property
    def own_openpay(self) -> bool:
        """Whether the stand-in charges, and not somebody else's Openpay."""
        return self._outside[1] is None

    @property
    def charging(self) -> Outside:
        """The Openpay that charges, and the account there."""
        return self._outside[1] or Outside(self.openpay_url, self.merchant_id, self.private_key)

    @property
    def openpay_url(self) -> str:
        """Where the IVR charges, up to ``/v1``."""
        outside = self._outside[1]
        return outside.url if outside else f"{_near(self.openpay.url, self._ways[1])}/v1"

    @property
    def access(self) -> Access:
        """How the IVR reaches the two services, once they listen."""
        return Access(authorizer=self.asked, openpay=self.charging, stand_in=self.own_openpay)

    def completed(self, order_id: str, amount: Decimal) -> list[openpay.Charge]:
        """The completed charges of an order, over this very amount."""
        return [
            charge
            for charge in self.charges.charges(order_id=order_id)
            if charge.status == "completed" and charge.amount == amount
        ]

    def cashier(
        self,
        ledger: Ledger,
        journal: Journal,
        *,
        on_exchange: Callable[[HttpExchange], None] | None = None,
        between_looks: float = BETWEEN_LOOKS,
    ) -> Cashier:
        """Who charges for this merchant at its Openpay, by a ledger.

        on_exchange: ``HttpClient``'s. between_looks: ``OpenpayAcquirer``'s.
        """
        return self.access.cashier(
            self._reactor,
            ledger,
            journal,
            now=self._now,
            on_exchange=on_exchange,
            between_looks=between_looks,
        )

    def shop(
        self,
        name: str,
        cashier: Cashier,
        *,
        today: Callable[[], date],
        limits: Limits | None = None,
        on_exchange: Callable[[HttpExchange], None] | None = None,
    ) -> Shop:
        """The merchant's line as the dialogue knows it: clients of these two services."""
        return self.access.shop(
            self._reactor,
            name,
            cashier,
            today=today,
            limits=limits,
            new_attempt=self._new_attempt,
            on_exchange=on_exchange,
        )


def _near(url: str, way: Way | None) -> str:
    """A URL that can be asked from here: by a detour, or of a server that listens on all addresses."""
    if way is not None:
        return f"http://127.0.0.1:{way.port}"
    return url.replace("//0.0.0.0:", "//127.0.0.1:", 1)


def _url_of(folder: Path | None, name: str) -> str:
    return "sqlite://" if folder is None else f"sqlite:///{folder / name}"


def _account() -> dict[str, str]:
    return {
        "password": secrets.token_urlsafe(12),
        "merchant_id": "m" + _letters(19),
        "private_key": "sk_" + _letters(32),
        "public_key": "pk_" + _letters(32),
    }


def _letters(n: int) -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(n))
