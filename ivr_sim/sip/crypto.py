"""Keys for secure audio as session descriptions carry them: a=crypto lines (SDES, RFC 4568).

    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^31

Each side says the key that it sends with. A line that wants more than that (another suite, several keys, a
master key index, session parameters that change the packets) is none of ours, and is passed over.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ivr_sim.errors import LocalProtocolError

__all__ = ["KEY_BYTES", "SUITES", "Crypto", "SrtpUse"]

SrtpUse = Literal["off", "allowed", "required"]  # whether audio may be encrypted, or must be

SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
KEY_BYTES = 30  # 16 of the master key, 14 of the master salt (RFC 4568 section 6.2)

_LINE = re.compile(
    r"([0-9]{1,9}) +([A-Za-z0-9_]+) +(?i:inline):([A-Za-z0-9+/]+={0,2})((?:\|[^| ;]+)*)((?: +[^ ]+)*)"
)
_LIFETIME = re.compile(r"\|(?:2\^)?[0-9]+")
# Parameters that need not be understood begin with "-" (section 6.3.7); the window is the receiver's own.
_HARMLESS = re.compile(r"-.*|WSH=[0-9]+", re.IGNORECASE)
_NAMES: Mapping[str, str] = {suite.lower(): suite for suite in SUITES}


@dataclass(frozen=True)
class Crypto:
    """One a=crypto line that we can use: its tag, one of ``SUITES``, and key and salt (30 bytes).

    Raises LocalProtocolError: another suite, or a key of another length.
    """

    tag: int
    suite: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.suite not in SUITES or len(self.key) != KEY_BYTES:
            raise LocalProtocolError(
                f"a key for {self.suite} of {len(self.key)} bytes; {KEY_BYTES} are wanted"
            )

    @classmethod
    def parse(cls, text: str) -> Crypto | None:
        """Read what follows ``a=crypto:``; None for a line that is broken, or that we have no use for."""
        found = _LINE.fullmatch(text.strip())
        suite = _NAMES.get(found[2].lower()) if found else None
        if found is None or suite is None or not all(map(_HARMLESS.fullmatch, found[5].split())):
            return None
        if found[4] and not _LIFETIME.fullmatch(found[4]):
            return None  # a master key index: each packet would carry it
        try:
            key = base64.b64decode(found[3], validate=True)
        except binascii.Error:
            return None
        return cls(int(found[1]), suite, key) if len(key) == KEY_BYTES else None

    def line(self) -> str:
        """The whole line, without its end."""
        return f"a=crypto:{self.tag} {self.suite} inline:{base64.b64encode(self.key).decode('ascii')}"
