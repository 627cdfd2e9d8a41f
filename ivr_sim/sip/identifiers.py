"""Names that must be unique in time and space: branches, tags and Call-IDs, from the system's CSPRNG."""

from __future__ import annotations

import secrets

from ivr_sim.sip.via import MAGIC

__all__ = ["new_branch", "new_call_id", "new_tag"]


def new_branch() -> str:
    """A branch that no other transaction has (RFC 3261 section 8.1.1.7)."""
    return MAGIC + secrets.token_hex(12)


def new_tag() -> str:
    """A tag for From or To (RFC 3261 section 19.3)."""
    return secrets.token_hex(8)


def new_call_id(host: str) -> str:
    """A Call-ID (RFC 3261 section 8.1.1.4)."""
    return f"{secrets.token_hex(12)}@{host}"
