"""The lines of an exchange: which of them is tried first, without I/O.

Calls are dealt in turn: first goes whoever was given a call longest ago. A line that was silent is asked
last for a while; a sign of life of it takes that back.
"""

from __future__ import annotations

from collections.abc import Sequence

from ivr_sim.sip.registrar import Binding, Registrar

__all__ = ["HuntGroup"]

SUSPECT = 30.0  # seconds for which a line that was silent is asked last


class HuntGroup:
    """The users that calls are dealt to, by their bindings at the registrar. Times are the registrar's."""

    def __init__(self, users: Sequence[str], registrar: Registrar) -> None:
        self.users = tuple(users)
        self._registrar = registrar
        self._dealt: dict[str, int] = {}
        self._suspects: dict[str, float] = {}
        self._turn = 0

    def deal(self, now: float) -> list[Binding]:
        """The bindings to try for the next call, in this order; the first of them has had its turn."""
        bindings = [binding for user in self.users for binding in self._registrar.lookup(user, now)]
        known = {binding.contact.text for binding in bindings}
        self._dealt = {contact: turn for contact, turn in self._dealt.items() if contact in known}
        self._suspects = {contact: until for contact, until in self._suspects.items() if until > now}
        bindings.sort(key=lambda b: (b.contact.text in self._suspects, self._dealt.get(b.contact.text, 0)))
        if bindings:
            self.given(bindings[0].contact.text)
        return bindings

    def given(self, contact: str) -> None:
        """This contact was given a call, also one that another passed on."""
        self._turn += 1
        self._dealt[contact] = self._turn

    def silent(self, contact: str, now: float) -> None:
        """This contact gave no sign of life."""
        self._suspects[contact] = now + SUSPECT

    def alive(self, contact: str) -> None:
        """This contact was heard of."""
        self._suspects.pop(contact, None)
