"""Hours of real speech, music and synthetic voices without a key tone in them, as 8 kHz int16 on disk."""

from __future__ import annotations

from material.packages import MaterialError
from material.preparation import NAMES, prepare
from material.store import HALVES, RATE, Half, Piece, Store, half_of

__all__ = ["HALVES", "NAMES", "RATE", "Half", "MaterialError", "Piece", "Store", "half_of", "prepare"]
