"""G.711 on the wire: the two codecs by which telephone lines carry speech.

A sample of 16 bits becomes one byte on a logarithmic scale, 8,000 times a second, by the tables of
``dtmf.g711``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dtmf import g711

__all__ = ["CODECS", "FRAME_SAMPLES", "PCMA", "PCMU", "SAMPLE_RATE", "Codec", "Samples"]

SAMPLE_RATE = 8000
FRAME_SAMPLES = 160  # 20 ms

Samples = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]


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
        return self.decode_array(np.frombuffer(data, np.uint8))

    def decode_array(self, codes: Codes) -> Samples:
        """Turn uint8 codes of any shape into int16 samples of the same shape."""
        return self._decoded.take(codes)

    def encode(self, samples: Samples) -> bytes:
        """Turn int16 samples into as many bytes. Raises TypeError for any other type of sample."""
        return self.encode_array(samples).tobytes()

    def encode_array(self, samples: Samples) -> Codes:
        """Turn int16 samples of any shape into uint8 codes of the same shape. Raises TypeError."""
        if samples.dtype != np.int16:
            raise TypeError(f"{self.name} encodes int16 samples, not {samples.dtype}")
        return self._encoded.take(samples.view(np.uint16))


PCMU = Codec("PCMU", 0, g711.decoded("mulaw"), g711.encoded("mulaw"))
PCMA = Codec("PCMA", 8, g711.decoded("alaw"), g711.encoded("alaw"))
CODECS = {codec.payload_type: codec for codec in (PCMU, PCMA)}
