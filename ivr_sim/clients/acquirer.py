"""How a card is charged at Openpay, once: token, charge, and certainty about what came of it.

An answer that does not come is the case that matters. Until the charge is handed to a connection, nothing
can have been charged. From then on only Openpay knows, and is asked: each try carries its own name in
``metadata.attempt``, so a charge that is found can be told from another one of the same order.

    the answer to the charge           what is made of it
    completed                          Approved
    402, 1007, 2004-2011, 3xxx         Declined
    1006                               asked: ours and completed is Approved, anything else AlreadyPaid
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
    Acquirer,
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

__all__ = ["OpenpayAcquirer"]

log = structlog.get_logger(__name__)

LOOKS = 3
BETWEEN_LOOKS = 15.0  # seconds: three looks take 30
DECLINED = 3001  # a decline whose code is not told
LISTED = 100  # charges of one order that are looked through


class OpenpayAcquirer(Acquirer):
    """Charges cards at Openpay. clock: IReactorTime, for the looks; holder_name: no caller keys a name."""

    def __init__(self, client: OpenpayClient, clock: Any, *, holder_name: str = "PAGO TELEFONICO") -> None:
        self._client = client
        self._clock = clock
        self._holder_name = holder_name

    async def charge(self, payable: Payable, card: Card, *, attempt: str) -> Charged:
        """Charge a payable to a card, once, and find out what came of it: see the table above.

        Takes up to 30 s and the time-outs of three requests more when Openpay does not answer. Raises
        AcquirerFailed only where nothing was charged for certain.
        """
        start = self._clock.seconds()
        return await _Try(self._client, self._clock, start, payable, attempt).run(card, self._holder_name)


class _Try:
    """One try to charge."""

    def __init__(
        self, client: OpenpayClient, clock: Any, start: float, payable: Payable, attempt: str
    ) -> None:
        self._client = client
        self._clock = clock
        self._start = start
        self._payable = payable
        self._attempt = attempt

    async def run(self, card: Card, holder_name: str) -> Charged:
        try:
            token = await self._client.create_token(card, holder_name)
        except OpenpayUnreachable as failed:
            raise self._failed(failed.cause) from None
        except OpenpayRefused as refused:
            return self._refused(refused)
        try:
            charge = await self._client.create_charge(
                token.id,
                self._payable.amount,
                self._payable.description,
                self._payable.order_id,
                metadata={"attempt": self._attempt},
                currency=self._payable.currency,
            )
        except OpenpayUnreachable as failed:
            if not failed.sent:
                raise self._failed(failed.cause) from None
            log.warning("a charge went unanswered", cause=failed.cause, attempt=self._attempt)
            return await self._reconcile()
        except OpenpayRefused as refused:
            if refused.error_code == 1006:
                return await self._order_has_a_charge()
            if refused.http_status >= 500 or refused.http_status == 408:
                log.warning("a charge has no result", status=refused.http_status, attempt=self._attempt)
                return await self._reconcile()
            return self._refused(refused)
        return self._settled(charge) or await self._reconcile()

    def _settled(self, charge: Charge) -> Approved | Declined | None:
        """What a charge of ours has come to; None while it has not."""
        if charge.status == "completed":
            return Approved(charge_id=charge.id, authorization=charge.authorization or "", ms=self._ms())
        if charge.status == "failed":
            return Declined(error_code=charge.error_code or DECLINED, charge_id=charge.id, ms=self._ms())
        return None

    def _refused(self, refused: OpenpayRefused) -> Declined:
        """A refusal after which nothing is charged: the card's fault, or else raised as AcquirerFailed."""
        if is_card_error(refused.error_code) or refused.http_status == 402:
            return Declined(error_code=refused.error_code or DECLINED, ms=self._ms())
        raise self._failed(f"status {refused.http_status}", refused.error_code)

    async def _order_has_a_charge(self) -> Approved | AlreadyPaid:
        try:
            charges = await self._look()
        except (OpenpayRefused, OpenpayUnreachable):
            return AlreadyPaid(ms=self._ms())
        for charge in charges:
            if self._is_ours(charge) and isinstance(approved := self._settled(charge), Approved):
                return approved
        return self._paid_by_another(charges) or AlreadyPaid(ms=self._ms())

    async def _reconcile(self) -> Charged:
        """Ask until Openpay tells what came of this try, three times over 30 s at most."""
        seen_nothing = 0
        for look in range(LOOKS):
            if look:
                await deferLater(self._clock, BETWEEN_LOOKS)
            try:
                charges = await self._look()
            except (OpenpayRefused, OpenpayUnreachable):
                continue
            ours = [charge for charge in charges if self._is_ours(charge)]
            for charge in ours:
                if (settled := self._settled(charge)) is not None:
                    return settled
            # While another charge of the order stands, ours cannot: there is one at most.
            if not ours and (paid := self._paid_by_another(charges)) is not None:
                return paid
            seen_nothing += not ours
        if seen_nothing == LOOKS:
            raise self._failed("the charge never reached it")
        log.error("a charge is unresolved", attempt=self._attempt, order_id=self._payable.order_id)
        return Unknown(ms=self._ms())

    async def _look(self) -> list[Charge]:
        return await self._client.list_charges(order_id=self._payable.order_id, limit=LISTED)

    def _is_ours(self, charge: Charge) -> bool:
        return (charge.metadata or {}).get("attempt") == self._attempt

    def _paid_by_another(self, charges: list[Charge]) -> AlreadyPaid | None:
        for charge in charges:
            if charge.status == "completed" and charge.order_id == self._payable.order_id:
                return AlreadyPaid(charge_id=charge.id, ms=self._ms())
        return None

    def _ms(self) -> int:
        return round((self._clock.seconds() - self._start) * 1000)

    def _failed(self, cause: str, error_code: int | None = None) -> AcquirerFailed:
        return AcquirerFailed(cause, error_code=error_code, ms=self._ms())
