"""A payment by a telephone that we did not write, and what is left of it in the books."""

from __future__ import annotations

import threading
from typing import Any

from ivr_sim.journal import ChargeSettled

SECONDS = 150  # that a payment may take; the slowest telephone needs 65, and sleeps for most of them
CARD = "visa-approved"


class Payment:
    """One telephone that pays: it registers, calls, keys, and listens until the IVR hangs up.

    options: of its program; with any, it goes to the port of TLS.
    """

    def __init__(self, house: Any, kit: Any, name: str, word: str, key: str, *options: str) -> None:
        self.user = f"{name}-{word}"
        self.key = key
        self.error: BaseException | None = None
        self.phone: Any = None
        self._house = house
        self._kit = kit
        self._client = kit.clients[name]
        self._word = word
        self._options = options
        self._thread = threading.Thread(target=self._run, name=self.user)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(SECONDS + 40)

    def _run(self) -> None:
        try:
            self._pay()
        except BaseException as error:
            self.error = error
        finally:
            if self.phone is not None:
                self.phone.close()

    def _pay(self) -> None:
        house, user = self._house, self.user
        card = self._kit.cards[CARD]
        house.on_prompt(
            user,
            {
                "ask_key": f"{self.key}#", "amount": "1", "ask_card": card["number"],
                "ask_expiry": card["expiry"], "ask_cvv": card["cvv"],
            },
            self._type,
        )  # fmt: skip
        server = house.tls_server if self._options else house.server
        password = house.node.accounts[user]
        self.phone = self._kit.Softphone(self._client, server, user, password, *self._options)
        self.phone.wait_for("ready")
        self._kit.until(lambda: user in house.node.exchange.registrations, f"{user} registered")
        self.phone.tell("dial 5000")
        self.phone.wait_for("ended", seconds=SECONDS)

    def _type(self, keys: str) -> None:
        if self._word == "play":
            path = self._house.folder / f"{self.user}-{len(keys)}.wav"
            self.phone.tell(f"play {self._kit.write_keys(path, keys)}")
        else:
            self.phone.tell(f"{self._word} {keys}")


def paid(house: Any, user: str) -> None:
    """Journal, ledger and stand-in tell of one completed charge."""
    [settled] = house.of(user, ChargeSettled)
    [charge] = house.merchant.charges.charges(order_id=f"ord-{user}")
    [entry] = house.node._ledger.entries(order_id=f"ord-{user}")
    assert charge.status == "completed"
    assert settled.result == entry.result == "approved"
    assert settled.charge_id == entry.charge_id == charge.id
