"""G.711: the two ways in which telephone lines carry speech, as look-up tables.

A sample of 16 bits becomes one byte on a logarithmic scale, 8,000 times a second. Both laws are exact to
the bit with the reference tables (ITU-T G.711, tables 1a to 2b), for every byte and every sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["CODECS", "FRAME_SAMPLES", "PCMA", "PCMU", "SAMPLE_RATE", "Codec", "Samples"]

SAMPLE_RATE = 8000
FRAME_SAMPLES = 160  # 20 ms

Samples = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]

_CODES = np.arange(256, dtype=np.int32)
# Indexed by the sample's bit pattern (0..65535), which costs no addition at run time.
_SAMPLES = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
_MU_BIAS = 33
_MU_CLIP = 8159


@dataclass(frozen=True, eq=False)
class Codec:
    """One law: how samples become bytes and bytes become samples.

    name: as SDP's rtpmap writes it; payload_type: the static one of RFC 3551 table 4; silence: the byte of
    the sample 0.
    """

    name: str
    payload_type: int
    _decoded: Samples = field(repr=False)
    _encoded: Codes = field(repr=False)

    @property
    def silence(self) -> int:
        """The byte that stands for the sample 0."""
        return int(self._encoded[0])

    def decode(self, data: bytes) -> Samples:
        """Turn bytes into as many int16 samples."""
        return self._decoded.take(np.frombuffer(data, np.uint8))

    def encode(self, samples: Samples) -> bytes:
        """Turn int16 samples into as many bytes. Raises TypeError for any other type of sample."""
        return self.encode_array(samples).tobytes()

    def encode_array(self, samples: Samples) -> Codes:
        """Turn int16 samples of any shape into uint8 codes of the same shape. Raises TypeError."""
        if samples.dtype != np.int16:
            raise TypeError(f"{self.name} encodes int16 samples, not {samples.dtype}")
        return self._encoded.take(samples.view(np.uint16))


def _mu_decoded() -> Samples:
    inverted = ~_CODES & 0xFF
    exponent, mantissa = (inverted >> 4) & 7, inverted & 15
    magnitude = (((mantissa << 3) + 4 * _MU_BIAS) << exponent) - 4 * _MU_BIAS
    return np.where(inverted & 0x80, -magnitude, magnitude).astype(np.int16)


def _mu_encoded() -> Codes:
    # The law is defined on 14 bits; the two bits below are dropped before the sign is taken, as the
    # reference does.
    fourteen = _SAMPLES >> 2
    biased = np.minimum(np.abs(fourteen), _MU_CLIP) + _MU_BIAS
    segment = np.searchsorted((64 << np.arange(8)) - 1, biased)
    code = np.where(segment > 7, 0x7F, (segment << 4) | ((biased >> (segment + 1)) & 15))
    return (code ^ np.where(fourteen < 0, 0x7F, 0xFF)).astype(np.uint8)


def _a_decoded() -> Samples:
    even_bits = _CODES ^ 0x55
    exponent, mantissa = (even_bits >> 4) & 7, even_bits & 15
    magnitude = np.where(
        exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0)
    )
    return np.where(even_bits & 0x80, magnitude, -magnitude).astype(np.int16)


def _a_encoded() -> Codes:
    thirteen = _SAMPLES >> 3
    magnitude = np.where(thirteen < 0, ~thirteen, thirteen)
    segment = np.searchsorted((32 << np.arange(8)) - 1, magnitude)
    # The two lowest segments have the same step.
    code = (segment << 4) | ((magnitude >> np.maximum(segment, 1)) & 15)
    return (code ^ np.where(thirteen < 0, 0x55, 0xD5)).astype(np.uint8)


PCMU = Codec("PCMU", 0, _mu_decoded(), _mu_encoded())
PCMA = Codec("PCMA", 8, _a_decoded(), _a_encoded())
CODECS = {codec.payload_type: codec for codec in (PCMU, PCMA)}
