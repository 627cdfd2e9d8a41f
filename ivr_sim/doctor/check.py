"""What a check of this machine has found: one line, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Check", "State"]

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One line: what was seen, and what to do; ``fail`` is what keeps calls from working.

    advice: empty where there is nothing to do.
    """

    name: str
    state: State
    what: str
    advice: str = ""
