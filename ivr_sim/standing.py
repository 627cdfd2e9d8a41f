"""Payment keys that stand: easy to type, there at every start, and of every kind that a caller can meet.

Those that can be paid are payable again after each payment, under a fresh order: in front of the merchant's
authorizer each of them stands for an ordinary key, and a new one takes its place once the order is paid.
"""

from __future__ import annotations

import io
import json
import secrets
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from string import ascii_lowercase
from typing import Any

import structlog

from authorizer import AuthorizerError, KeyStore, PaymentKey
from ivr_sim.errors import place
from ivr_sim.journal import ChargeReconciled, ChargeSent, ChargeSettled, Record

__all__ = ["STANDING", "Standing", "StandingKeys"]

log = structlog.get_logger(__name__)

LATE_SECONDS = 5.1  # the limit is 5 (guide L172)
MAX_BODY = 4096  # bytes of a request that may hold one of our keys
A_DAY = timedelta(days=1)
Wsgi = Callable[..., Iterable[bytes]]


@dataclass(frozen=True)
class Standing:
    """One standing key. kind: payable, expired, paid, cancelled, broken (HTTP 500) or late (5.1 s)."""

    key: str
    kind: str
    amount: Decimal
    description: str
    what: str


STANDING = (
    Standing("100001", "payable", Decimal("200.00"), "Cargo IVR", "can be paid, again and again"),
    Standing("100002", "payable", Decimal("1021.50"), "Suscripción anual", "can be paid, again and again"),
    Standing("100003", "payable", Decimal("0.50"), "Prueba de centavos", "can be paid, again and again"),
    Standing("100004", "payable", Decimal("21001.00"), "Mensualidad", "can be paid, again and again"),
    Standing("100005", "payable", Decimal("99.90"), "Recarga", "can be paid, again and again"),
    Standing("170001", "expired", Decimal("200.00"), "Cargo IVR", "refused: expired"),
    Standing("170002", "paid", Decimal("200.00"), "Cargo IVR", "refused: paid already"),
    Standing("170003", "cancelled", Decimal("200.00"), "Cargo IVR", "refused: cancelled"),
    Standing("170500", "broken", Decimal("200.00"), "Cargo IVR", "its authorizer answers HTTP 500"),
    Standing("170051", "late", Decimal("200.00"), "Cargo IVR", "its authorizer answers after 5.1 s"),
)


class StandingKeys:
    """The standing keys of one merchant's authorizer.

    now: the wall clock, aware of its zone. Wrap the authorizer in :meth:`around`, then :meth:`issue`.
    """

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self._keys: KeyStore | None = None
        self._current: dict[str, PaymentKey] = {}  # standing key -> what it stands for now
        self._orders: dict[str, str] = {}  # attempt -> order
        self._broken = {s.key for s in STANDING if s.kind == "broken"}
        self._late = {s.key for s in STANDING if s.kind == "late"}

    def issue(self, keys: KeyStore, url: str) -> None:
        """Make every standing key. keys: the merchant's; url: of their database. Raises AuthorizerError."""
        self._keys = keys
        yesterday = KeyStore(url, now=lambda: self._now() - 2 * A_DAY)
        try:
            for standing in STANDING:
                if standing.kind in ("payable", "late"):
                    self._renew(standing)
                    continue
                store = yesterday if standing.kind == "expired" else keys
                with suppress(AuthorizerError):  # it stands since an earlier start
                    store.issue(
                        standing.amount,
                        standing.description,
                        f"standing-{standing.key}",
                        expires_in=A_DAY,
                        key=standing.key,
                    )
                    if standing.kind == "paid":
                        store.mark_paid(standing.key)
                    elif standing.kind == "cancelled":
                        store.cancel(standing.key)
        finally:
            yesterday.close()

    def current(self) -> dict[str, PaymentKey]:
        """The payable standing keys, and the ordinary key that each stands for now."""
        return {s.key: self._current[s.key] for s in STANDING if s.kind == "payable"}

    def read(self, record: Record) -> None:
        """A reader of the journal: whose order was paid gets a fresh one."""
        match record.event:
            case ChargeSent(attempt=attempt, order_id=order):
                self._orders[attempt] = order
            case ChargeSettled(attempt=attempt, result="approved"):
                self._paid(self._orders.pop(attempt, ""))
            case ChargeReconciled(order_id=order, result="approved"):
                self._paid(order)

    def around(self, app: Wsgi) -> Wsgi:
        """The authorizer's WSGI application with the standing keys in front."""

        def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            key = _key_asked_for(environ)
            if key in self._broken:
                start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
                return [b"a standing key that breaks its authorizer\n"]
            if key in self._late:
                threading.Event().wait(LATE_SECONDS)
            if key in self._current:
                _ask_for(environ, self._current[key].key)
            return app(environ, start_response)

        return answer

    def _renew(self, standing: Standing) -> None:
        assert self._keys is not None
        order = "standing-" + "".join(secrets.choice(ascii_lowercase) for _ in range(10))
        self._current[standing.key] = self._keys.issue(
            standing.amount, standing.description, order, expires_in=366 * A_DAY
        )

    def _paid(self, order: str) -> None:
        """Off the reactor's thread, which must not wait for a database."""
        threading.Thread(target=self._replace, args=(order,), name="standing-keys", daemon=True).start()

    def _replace(self, order: str) -> None:
        try:
            for standing in STANDING:
                current = self._current.get(standing.key)
                if current is not None and current.order_id == order:
                    self._renew(standing)
                    assert self._keys is not None
                    self._keys.mark_paid(current.key)
        except Exception as error:
            log.error("a standing key was not renewed", error=type(error).__name__, at=place(error))


def _key_asked_for(environ: dict[str, Any]) -> str | None:
    """The key in a request's body; the body stays to be read."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if not 0 < length <= MAX_BODY:
            return None
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
        asked = json.loads(body)
    except ValueError:
        return None
    return str(asked.get("ivr_key")) if isinstance(asked, dict) else None


def _ask_for(environ: dict[str, Any], key: str) -> None:
    body = json.dumps({"ivr_key": int(key)}).encode()
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
