"""How a card is charged at Openpay, once: token, charge, and certainty about what came of it.

An answer that does not come is the case that matters. Until the charge is handed to a connection, nothing
can have been charged. From then on only Openpay knows, and is asked: each try carries its own name in
``metadata.attempt``, so a charge that is found can be told from another one of the same order.

    the answer to the charge           what is made of it
    completed                          Approved
    402, 1007, 2004-2011, 3xxx         Declined
    1006                               asked likewise: ours and completed Approved, another's completed
                                       AlreadyPaid, neither of them Unknown
    1003                               asked likewise: a token of ours is used up by our charge alone, so
                                       the request may have come there twice; nothing found AcquirerFailed
    none, 5xx, 408, not readable       asked, three times over 30 s: completed Approved, failed Declined,
                                       another's completed AlreadyPaid, never found AcquirerFailed,
                                       anything else Unknown
    other refusals                     AcquirerFailed
"""

from __future__ import annotations

from typing import Any

import structlog
from twisted.internet.task import deferLater

from ivr_sim.cards import Card
from ivr_sim.clients.openpay import OpenpayClient, OpenpayRefused, OpenpayUnreachable
from ivr_sim.dialogue.services import (
    AcquirerFailed,
    AlreadyPaid,
    Approved,
    Charged,
    Declined,
    Payable,
    Unknown,
)
from ivr_sim.openpay.errors import is_card_error
from ivr_sim.openpay.models import Charge

__all__ = ["BETWEEN_LOOKS", "OpenpayAcquirer"]

log = structlog.get_logger(__name__)

LOOKS = 3
BETWEEN_LOOKS = 15.0  # seconds: three looks take 30
DECLINED = 3001  # a decline whose code is not told
# What was paid, and what was made of it since: whoever asks late may find that.
PAID = ("completed", "refunded", "chargeback_pending", "chargeback_accepted", "chargeback_adjustment")
LISTED = 100  # charges of one order that are looked through


class OpenpayAcquirer:
    """Charges cards at Openpay.

    clock: IReactorTime, for the looks. holder_name: no caller keys a name. between_looks: seconds; fewer
    only where nothing can be on its way any more.
    """

    def __init__(
        self,
        client: OpenpayClient,
        clock: Any,
        *,
        holder_name: str = "PAGO TELEFONICO",
        between_looks: float = BETWEEN_LOOKS,
    ) -> None:
        self._client = client
        self._clock = clock
        self._holder_name = holder_name
        self._between_looks = between_looks

    async def charge(self, payable: Payable, card: Card, *, attempt: str) -> Charged:
        """Charge a payable to a card, once, and find out what came of it: see the table above.

        Takes up to 30 s and the time-outs of three requests more when Openpay does not answer. Raises
        AcquirerFailed only where nothing was charged for certain.
        """
        return await self._try(payable.order_id, attempt).run(payable, card, self._holder_name)

    async def find(self, order_id: str, attempt: str) -> Charged:
        """What came of an attempt: asked three times over 30 s. Raises AcquirerFailed: never charged."""
        return await self._try(order_id, attempt).reconcile()

    async def glance(self, order_id: str, attempt: str) -> Approved | Declined | AlreadyPaid | None:
        """What came of an attempt, asked once; None while that does not tell.

        Raises OpenpayRefused, OpenpayUnreachable.
        """
        return (await self._try(order_id, attempt).look())[0]

    def _try(self, order_id: str, attempt: str) -> _Try:
        return _Try(self._client, self._clock, order_id, attempt, self._between_looks)


class _Try:
    """One try to charge."""

    def __init__(
        self, client: OpenpayClient, clock: Any, order_id: str, attempt: str, between_looks: float
    ) -> None:
        self._client = client
        self._clock = clock
        self._between_looks = between_looks
        self._start = clock.seconds()
        self._order_id = order_id
        self._attempt = attempt

    async def run(self, payable: Payable, card: Card, holder_name: str) -> Charged:
        try:
            token = await self._client.create_token(card, holder_name)
        except OpenpayUnreachable as failed:
            raise self._failed(failed.cause) from None
        except OpenpayRefused as refused:
            return self._refused(refused)
        try:
            charge = await self._client.create_charge(
                token.id,
                payable.amount,
                payable.description,
                self._order_id,
                metadata={"attempt": self._attempt},
                currency=payable.currency,
            )
        except OpenpayUnreachable as failed:
            if not failed.sent:
                raise self._failed(failed.cause) from None
            log.warning("a charge went unanswered", cause=failed.cause, attempt=self._attempt)
            return await self.reconcile()
        except OpenpayRefused as refused:
            if refused.error_code == 1006:
                return await self._order_has_a_charge()
            if refused.error_code == 1003:
                return await self._token_is_used(refused)
            if refused.http_status >= 500 or refused.http_status == 408:
                log.warning("a charge has no result", status=refused.http_status, attempt=self._attempt)
                return await self.reconcile()
            return self._refused(refused)
        return self._settled(charge) or await self.reconcile()

    def _settled(self, charge: Charge) -> Approved | Declined | None:
        """What a charge of ours has come to; None while it has not."""
        if charge.status in PAID:
            return Approved(charge_id=charge.id, authorization=charge.authorization or "", ms=self._ms())
        if charge.status in ("failed", "cancelled"):
            return Declined(error_code=charge.error_code or DECLINED, charge_id=charge.id, ms=self._ms())
        return None

    def _refused(self, refused: OpenpayRefused) -> Declined:
        """A refusal after which nothing is charged: the card's fault, or else raised as AcquirerFailed."""
        if is_card_error(refused.error_code) or refused.http_status == 402:
            return Declined(error_code=refused.error_code or DECLINED, ms=self._ms())
        raise self._failed(f"status {refused.http_status}", refused.error_code)

    async def _order_has_a_charge(self) -> Charged:
        """Openpay has a charge of this order already: this very one, if the request came there twice, or
        another one, which may still fail. Only Openpay's list tells which."""
        try:
            return await self.reconcile()
        except AcquirerFailed:
            return Unknown(ms=self._ms())

    async def _token_is_used(self, refused: OpenpayRefused) -> Charged:
        """Our token was new. Who sent it here before, if not this very request, on its way twice?"""
        try:
            return await self.reconcile()
        except AcquirerFailed:
            return self._refused(refused)

    async def reconcile(self) -> Charged:
        """Ask until Openpay tells what came of this try, three times over 30 s at most."""
        seen_nothing = 0
        for look in range(LOOKS):
            if look:
                await deferLater(self._clock, self._between_looks)
            try:
                found, standing = await self.look()
            except (OpenpayRefused, OpenpayUnreachable):
                continue
            if found is not None:
                return found
            seen_nothing += not standing
        if seen_nothing == LOOKS:
            raise self._failed("the charge never reached it")
        log.error("a charge is unresolved", attempt=self._attempt, order_id=self._order_id)
        return Unknown(ms=self._ms())

    async def look(self) -> tuple[Approved | Declined | AlreadyPaid | None, bool]:
        """What Openpay has made of this try, if anything final; and whether it knows of it at all."""
        charges = await self._client.list_charges(order_id=self._order_id, limit=LISTED)
        ours = [charge for charge in charges if self._is_ours(charge)]
        for charge in ours:
            if (settled := self._settled(charge)) is not None:
                return settled, True
        # While another charge of the order stands, ours cannot: there is one at most.
        return None if ours else self._paid_by_another(charges), bool(ours)

    def _is_ours(self, charge: Charge) -> bool:
        return (charge.metadata or {}).get("attempt") == self._attempt

    def _paid_by_another(self, charges: list[Charge]) -> AlreadyPaid | None:
        for charge in charges:
            if charge.status in PAID and charge.order_id == self._order_id:
                return AlreadyPaid(charge_id=charge.id, ms=self._ms())
        return None

    def _ms(self) -> int:
        return round((self._clock.seconds() - self._start) * 1000)

    def _failed(self, cause: str, error_code: int | None = None) -> AcquirerFailed:
        return AcquirerFailed(cause, error_code=error_code, ms=self._ms())
