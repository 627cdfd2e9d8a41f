"""A model of the merchant's authorizer: payment keys, and every way in which asking can fail."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from twisted.internet.task import deferLater

from ivr_sim.dialogue.services import AuthorizerFailed, Payable, PaymentKeys, Refusal

from .clock import TickClock

CAUSES = ("dns", "connect", "tls", "timeout", "status", "not_json", "bad_fields")
SAID = ("", "Clave de pago inválida", "Pedido ya pagado", "ñandú & <b>", "\u202eal revés", "Vuelva mañana.")


class Merchant:
    """Two orders with a key each."""

    def __init__(self, chance: Random, account: str, faults: float) -> None:
        self._chance = chance
        self._faults = faults
        self.clock = TickClock()
        self.orders = [self._payable(f"{account}-{n}") for n in range(2)]

    def _payable(self, order_id: str) -> Payable:
        # Keys may begin as cards do; the rest has no six digits that a card has, see wallet.py.
        key = self._chance.choice("123456789") + "".join(
            self._chance.choice("01789") for _ in range(self._chance.randrange(3, 12))
        )
        cents = self._chance.choice((1, 99, 1000, 20000, 1234567, 99999999999))
        amount = Decimal(self._chance.randrange(1, cents + 1)).scaleb(-2)
        return Payable(key=key, amount=amount, order_id=order_id, description=f"Pedido {order_id}")

    async def look_up(self, key: str) -> Payable | Refusal:
        """What the merchant says of a key."""
        chance = self._chance
        fast = chance.random() < 0.9
        await deferLater(self.clock, chance.uniform(0, 0.5) if fast else chance.uniform(0.5, 4.98))
        if chance.random() < self._faults:
            match chance.randrange(8):
                case 0:
                    raise RuntimeError(f"a leak, if it is shown: {key}")
                case 1 | 2 | 3:
                    return Refusal(code=chance.choice((-1, 1, 2, 3, 9)), description=chance.choice(SAID))
                case _:
                    raise AuthorizerFailed(chance.choice(CAUSES), ms=4980)
        for order in self.orders:
            if order.key == key:
                return order
        return Refusal(code=1, description=chance.choice(SAID))


class Desk(PaymentKeys):
    """The merchant as one call asks; ``payable``: what it was told may be paid, the last one at the end."""

    def __init__(self, merchant: Merchant) -> None:
        self._merchant = merchant
        self.payable: list[Payable] = []

    async def look_up(self, key: str) -> Payable | Refusal:
        """What the merchant says of a key."""
        answer = await self._merchant.look_up(key)
        if isinstance(answer, Payable):
            self.payable.append(answer)
        return answer
