"""The merchants' wall clock, read where a process is put together and handed on from there."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

__all__ = ["ZONE", "local_now", "local_today"]

ZONE = ZoneInfo("America/Mexico_City")


def local_now() -> datetime:
    """The wall clock in the merchants' time zone."""
    return datetime.now(ZONE)


def local_today() -> date:
    """The date by which a card's expiry is judged."""
    return local_now().date()
