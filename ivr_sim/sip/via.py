"""Via: the way a message came, and its answer goes back (RFC 3261 section 20.42, RFC 3581)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from ivr_sim.sip.address import DEFAULT_PORTS, TRANSPORTS, Address
from ivr_sim.sip.grammar import REMEMBERED, TOKEN, BadMessage, parse_params
from ivr_sim.sip.uri import is_host, parse_port

__all__ = ["MAGIC", "Via"]

MAGIC = "z9hG4bK"  # a branch that starts so is unique to its transaction (RFC 3261 section 8.1.1.7)
_VIA = re.compile(
    r"[ \t]*([^\s/;]+)[ \t]*/[ \t]*([^\s/;]+)[ \t]*/[ \t]*([^\s/;]+)[ \t]+"
    r"(\[[^\[\]]*\]|[^\s:;\[\]]+)[ \t]*(?::[ \t]*([0-9]+)[ \t]*)?((?:;.*)?)\Z",
    re.DOTALL,
)


@dataclass(frozen=True)
class Via:
    """One Via: where a message came from and its answer goes back to (RFC 3261 section 20.42, RFC 3581)."""

    transport: str
    host: str
    port: int | None = None
    params: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    @lru_cache(maxsize=REMEMBERED)
    def parse(cls, text: str) -> Via:
        """Parse one Via value, white space anywhere that the grammar has it. Raises BadMessage 400."""
        found = _VIA.match(text)
        if found is None or not is_host(found[4]) or not TOKEN.fullmatch(found[3]):
            raise BadMessage(400, "Malformed Via")
        params = parse_params(found[6])
        if params.get("rport"):
            parse_port(params["rport"])
        return cls(found[3].upper(), found[4], parse_port(found[5]), params)

    @property
    def branch(self) -> str | None:
        return self.params.get("branch")

    @property
    def received(self) -> str | None:
        return self.params.get("received")

    @property
    def rport(self) -> int | None:
        """The port that ``rport`` names, None while it is only asked for."""
        return parse_port(self.params.get("rport") or None)

    @property
    def reply_address(self) -> Address:
        """Where the answer goes (RFC 3261 section 18.2.2, RFC 3581 section 4); ``maddr`` is not followed."""
        transport = TRANSPORTS.get(self.transport, "UDP")
        host = (self.received or self.host).strip("[]")
        return Address(host, self.rport or self.port or DEFAULT_PORTS[transport], transport)

    def stamped(self, source: Address) -> Via:
        """This Via with the address that the message came from; the port only if the sender asked for it."""
        params = {k: v for k, v in self.params.items() if k != "received"}
        if "rport" in params:
            params["rport"] = str(source.port)
        if "rport" in params or self.host.strip("[]") != source.host:
            params["received"] = source.host
        return Via(self.transport, self.host, self.port, params)

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        params = "".join(f";{k}" if v is None else f";{k}={v}" for k, v in self.params.items())
        return f"SIP/2.0/{self.transport} {self.host}{port}{params}"
