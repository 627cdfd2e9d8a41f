"""What one `serve` has up, and how programs find their way in it: the state file."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from authorizer import PaymentKey
from ivr_sim.journal import Journal
from ivr_sim.merchant import Merchant
from ivr_sim.node import DOMAIN, ECHO, KEYPAD, MERCHANT_KEYS, Node, local_now
from ivr_sim.ports import Port
from ivr_sim.settings import Settings
from ivr_sim.sip.transport import local_host
from ivr_sim.standing import StandingKeys

__all__ = ["Served", "fresh_key", "state_of"]

FRESH = Decimal("150.00")
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
        return self.settings.advertise or local_host("0.0.0.0", "192.0.2.1")  # noqa: S104  compared, not bound


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
