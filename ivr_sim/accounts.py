"""The exchange's accounts: made once and kept, with passwords that are easy to type on a telephone."""

from __future__ import annotations

import secrets
from pathlib import Path

from ivr_sim.kept import kept

__all__ = ["USERS", "kept_accounts", "speakable"]

USERS = ("1001", "1002", "1003", "1004", "1005")
CONSONANTS, VOWELS = "bdfgklmnprstv", "aeiou"


def speakable(syllables: int = 5) -> str:
    """A password in lower case that can be read out: ``tomavilune``; six bits a syllable."""
    return "".join(secrets.choice(CONSONANTS) + secrets.choice(VOWELS) for _ in range(syllables))


def kept_accounts(data: Path, users: tuple[str, ...] = USERS) -> dict[str, str]:
    """User to password, of a data folder. Raises ConfigurationError."""
    found = kept(data / "accounts.json", lambda: {user: speakable() for user in users})
    return {user: found.get(user) or speakable() for user in users} | found
