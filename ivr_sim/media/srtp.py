"""SRTP: audio and reports that only the two sides of a call can read (RFC 3711), by libsrtp.

The keys come with the session description (SDES, RFC 4568): each side says the one that it sends with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from ivr_sim.errors import ConfigurationError, LocalProtocolError
from ivr_sim.media.rtp import BadPacket

__all__ = ["SrtpKey", "SrtpPair", "SrtpSession", "srtp_library"]

KEY_BYTES = 30  # 16 of the master key, 14 of the master salt
PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": "SRTP_PROFILE_AES128_CM_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32": "SRTP_PROFILE_AES128_CM_SHA1_32",
}


@dataclass(frozen=True, slots=True)
class SrtpKey:
    """A suite of ``PROFILES``, and master key and salt, 30 bytes. Raises LocalProtocolError for others."""

    suite: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.suite not in PROFILES or len(self.key) != KEY_BYTES:
            raise LocalProtocolError(
                f"an SRTP key for {self.suite} of {len(self.key)} bytes; "
                f"there are {' and '.join(PROFILES)}, with {KEY_BYTES} bytes"
            )


@dataclass(frozen=True, slots=True)
class SrtpPair:
    """The keys of one stream: ours, to send with, and the other side's."""

    ours: SrtpKey
    theirs: SrtpKey


def srtp_library() -> ModuleType:
    """The library that encrypts. Raises ConfigurationError when it is not installed."""
    try:
        import pylibsrtp
    except ImportError as error:
        raise ConfigurationError(
            "encrypted audio (SRTP) needs pylibsrtp; install it with: pip install 'ivr-sim[secure]'"
        ) from error
    return pylibsrtp


class SrtpSession:
    """One stream's encryption, of both directions, audio and reports.

    Raises ConfigurationError when the library is missing.
    """

    def __init__(self, pair: SrtpPair) -> None:
        self._library = srtp_library()
        self._pair = pair
        self._sending = self._session(pair.ours, self._library.Policy.SSRC_ANY_OUTBOUND)
        self._receiving = self._session(pair.theirs, self._library.Policy.SSRC_ANY_INBOUND)

    def rekey(self, pair: SrtpPair) -> None:
        """The keys have changed. A side whose key has not goes on counting where it was."""
        if pair.ours != self._pair.ours:
            self._sending = self._session(pair.ours, self._library.Policy.SSRC_ANY_OUTBOUND)
        if pair.theirs != self._pair.theirs:
            self._receiving = self._session(pair.theirs, self._library.Policy.SSRC_ANY_INBOUND)
        self._pair = pair

    def protect(self, packet: bytes) -> bytes:
        """An RTP packet of ours, encrypted and signed. Raises LocalProtocolError for what is none."""
        return self._seal(self._sending.protect, packet)

    def protect_report(self, packet: bytes) -> bytes:
        """An RTCP compound of ours, the same."""
        return self._seal(self._sending.protect_rtcp, packet)

    def unprotect(self, packet: bytes) -> bytes:
        """An RTP packet of theirs. Raises BadPacket: another key, forged, or one that came before."""
        return self._open(self._receiving.unprotect, packet)

    def unprotect_report(self, packet: bytes) -> bytes:
        """An RTCP compound of theirs, the same."""
        return self._open(self._receiving.unprotect_rtcp, packet)

    def _session(self, key: SrtpKey, direction: int) -> Any:
        policy = self._library.Policy
        profile = getattr(policy, PROFILES[key.suite])
        return self._library.Session(policy(key=key.key, ssrc_type=direction, srtp_profile=profile))

    def _seal(self, how: Any, packet: bytes) -> bytes:
        try:
            return bytes(how(packet))
        except (self._library.Error, ValueError) as error:
            raise LocalProtocolError(
                f"a packet of {len(packet)} bytes cannot be encrypted: {error}"
            ) from None

    def _open(self, how: Any, packet: bytes) -> bytes:
        try:
            return bytes(how(packet))
        except (self._library.Error, ValueError) as error:
            raise BadPacket(f"no SRTP packet that our key opens: {error}") from None
