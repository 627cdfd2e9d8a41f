"""HTTP Basic credentials, compared in constant time (RFC 7617, CWE-208)."""

from __future__ import annotations

import base64
import hashlib
import hmac

from .errors import ConfigurationError

__all__ = ["Credentials"]

SHORT = 16  # characters; `secrets.token_urlsafe(24)` has 32


class Credentials:
    """The one user and password that Openpay identifies itself with.

    user: not empty, without a colon (RFC 7617 section 2 ends the user there). password: not empty. Both
    are compared as UTF-8 bytes. Raises ConfigurationError.
    """

    def __init__(self, user: str, password: str) -> None:
        if not user or not password:
            raise ConfigurationError("the authorizer needs a user and a password, neither of them empty")
        if ":" in user:
            raise ConfigurationError("the user must not contain a colon: HTTP Basic ends the user there")
        self._user = _digest(_utf8(user))
        self._password = _digest(_utf8(password))
        self.is_guides_example = (user, password) == ("usr", "pwd")
        self.is_short = len(password) < SHORT

    def accept(self, authorization: str | None) -> bool:
        """Say whether an Authorization header is right; garbage is wrong, never an exception.

        authorization: the header's value as WSGI gives it (Latin-1 text), or None.
        """
        user, password = _decode(authorization or "")
        # Digests have one length, so the comparison does not tell how long the secret is; `&` always
        # makes both comparisons, so it does not tell which of the two was wrong.
        user_is_right = hmac.compare_digest(_digest(user), self._user)
        password_is_right = hmac.compare_digest(_digest(password), self._password)
        return user_is_right & password_is_right

    def __repr__(self) -> str:
        return "Credentials(<hidden>)"


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate: an environment variable that was not UTF-8
        raise ConfigurationError("the user and the password must be UTF-8 text") from None


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()


def _decode(authorization: str) -> tuple[bytes, bytes]:
    """User and password out of a header; two empty ones, which no credentials are, for any other."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "basic":  # RFC 9110 section 11.1: the scheme's case does not matter
        return b"", b""
    try:
        user, _, password = base64.b64decode(token.strip(" "), validate=True).partition(b":")
    except ValueError:  # binascii.Error, and text that is not ASCII
        return b"", b""
    return user, password
