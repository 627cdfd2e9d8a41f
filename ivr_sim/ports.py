"""Ports: a default that is taken gives way and says so; one that was asked for does not."""

from __future__ import annotations

import socket
from dataclasses import dataclass

__all__ = ["Port", "choose", "is_free"]

STEPS = 20  # ports tried behind a default that is taken


@dataclass(frozen=True)
class Port:
    """A port to listen on; ``instead_of``: the default that was taken, or None."""

    number: int
    instead_of: int | None = None


def choose(host: str, default: int, wanted: int | None, *kinds: socket.SocketKind) -> Port:
    """The port to listen on: the one wanted, or the default, or the next that is free for all ``kinds``.

    wanted: None for the default, 0 for any. Whoever listens on it hears whether it is still free then.
    """
    if wanted is not None:
        return Port(wanted)
    for number in range(default, default + STEPS, 2):
        if all(is_free(host, number, kind) for kind in kinds):
            return Port(number, None if number == default else default)
    return Port(0, default)


def is_free(host: str, number: int, kind: socket.SocketKind) -> bool:
    """Whether somebody could listen there at the moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as listening does
        try:
            probe.bind((host, number))
        except OSError:
            return False
    return True
