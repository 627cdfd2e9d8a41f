"""The acceptance table: tapes of key presses within, at and beyond the standards' limits."""

from __future__ import annotations

from dtmf.acceptance.beyond import beyond
from dtmf.acceptance.category import Category, Kind
from dtmf.acceptance.limits import limits
from dtmf.acceptance.lines import lines
from dtmf.acceptance.strangers import strangers
from dtmf.acceptance.tape import Press, Tape, joined
from dtmf.standards import DEFAULT, Profile

__all__ = ["Category", "Kind", "Press", "Tape", "categories", "joined"]


def categories(profile: Profile = DEFAULT) -> list[Category]:
    """The whole table for a profile; what lies beyond the standards is asked of the default alone."""
    table = [*limits(profile), *lines(), *strangers()]
    return [*table, *beyond()] if profile is DEFAULT else table
