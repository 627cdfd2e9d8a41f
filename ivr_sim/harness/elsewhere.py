"""Where somebody else's IVR is called, and by which accounts."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.replay import with_payment_key
from ivr_sim.harness.scenario import Case
from ivr_sim.sip.message import BadMessage
from ivr_sim.sip.transport import Address
from ivr_sim.sip.uri import Uri

__all__ = ["Account", "Elsewhere", "elsewhere"]

PASSWORD = "IVR_SIP_PASSWORD"


@dataclass(frozen=True)
class Account:
    """A telephone's account at an exchange."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class TheirKey:
    """A payment key that can be paid there, and what for."""

    key: str
    amount: Decimal
    description: str


@dataclass(frozen=True)
class Elsewhere:
    """An IVR that is not ours.

    server: its exchange. number: to be dialled instead of the scenario's. keys: those that can be paid, None
    where that is not known.
    """

    server: Address
    accounts: Sequence[Account]
    number: str | None = None
    keys: Sequence[TheirKey] | None = None

    def fitted(self, case: Case) -> Case:
        """The same call with a payment key that there is: one for the same amount and description.

        A key that need not be payable stays. Raises ConfigurationError: no key there stands for that.
        """
        given = case.scenario.given
        if self.keys is None or given.state != "payable":
            return case
        fit = [k.key for k in self.keys if (k.amount, k.description) == (given.amount, given.description)]
        if not fit:
            there = ", ".join(f"{k.amount} {k.description!r}" for k in self.keys)
            raise ConfigurationError(
                f"{case.path}:{case.line_of('given', 'amount')}: no payment key there stands for "
                f"{given.amount} {given.description!r}; there are {there}"
            )
        return case if given.key in fit else with_payment_key(case, fit[0])


def elsewhere(
    to: str | None, state: Path | None, user: str | None, environ: Mapping[str, str]
) -> Elsewhere | None:
    """What ``--to``, ``--state`` and ``--user`` say; None if nothing.

    to: ``sip:NUMBER@HOST[:PORT]``. state: the file of a ``serve --state``, which names the exchange and its
    accounts. user: an account, whose password is in the environment (IVR_SIP_PASSWORD). Raises
    ConfigurationError.
    """
    if to is None and state is None:
        if user is not None:
            raise ConfigurationError("--user is an account at somebody else's IVR: say where, with --to")
        return None
    server: Address | None = None
    accounts: Sequence[Account] = ()
    number, keys = None, None
    if state is not None:
        server, accounts, keys = _read_state(state)
    if to is not None:
        number, server = _read_address(to)
    if user is not None:
        password = environ.get(PASSWORD)
        if not password:
            raise ConfigurationError(f"set {PASSWORD} to the password of {user}")
        accounts = [Account(user, password)]
    if not accounts:
        raise ConfigurationError(
            f"an account is needed at {to}: name it with --user (password in {PASSWORD}), "
            "or the state file of a `serve` with --state"
        )
    assert server is not None
    return Elsewhere(server, accounts, number, keys)


def _read_address(to: str) -> tuple[str, Address]:
    try:
        uri = Uri.parse(to)
        address = uri.address()
    except BadMessage as error:
        raise ConfigurationError(f"--to takes sip:NUMBER@HOST[:PORT], not {to!r}") from error
    if uri.scheme != "sip" or not uri.user:
        raise ConfigurationError(f"--to takes sip:NUMBER@HOST[:PORT], and {to!r} names no number")
    try:
        return uri.user, address._replace(host=socket.gethostbyname(address.host))
    except OSError as error:
        raise ConfigurationError(f"--to: {address.host!r} has no address; is the name right?") from error


def _read_state(path: Path) -> tuple[Address, list[Account], list[TheirKey]]:
    try:
        state: Any = json.loads(path.read_text(encoding="utf-8"))
        sip = state["sip"]
        server = Address(str(sip["host"]), int(sip["port"]))
        accounts = [Account(str(each["user"]), str(each["password"])) for each in sip["accounts"]]
        keys = [
            TheirKey(str(each["ivr_key"]), Decimal(each["amount"]), str(each["description"]))
            for each in state["keys"]
        ]
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}): does `ivr-sim serve --state {path}` run?"
        ) from error
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise ConfigurationError(f"{path} is not the state file of an `ivr-sim serve`") from error
    if not accounts:
        raise ConfigurationError(f"{path} names no account; set one with --user")
    return server, accounts, keys
