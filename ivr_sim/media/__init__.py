"""The media of calls: audio and keys over RTP, in one tick of 20 ms for all calls, and recordings."""

from ivr_sim.media.beat import Beat
from ivr_sim.media.engine import MediaEngine, NoPortFree
from ivr_sim.media.g711 import CODECS, FRAME_SAMPLES, PCMA, PCMU, SAMPLE_RATE, Codec, Samples
from ivr_sim.media.recorder import Recorder
from ivr_sim.media.srtp import SrtpKey, SrtpPair, srtp_library
from ivr_sim.media.stream import MediaStream, StreamListener, StreamStats

__all__ = [
    "CODECS",
    "FRAME_SAMPLES",
    "PCMA",
    "PCMU",
    "SAMPLE_RATE",
    "Beat",
    "Codec",
    "MediaEngine",
    "MediaStream",
    "NoPortFree",
    "Recorder",
    "Samples",
    "SrtpKey",
    "SrtpPair",
    "StreamListener",
    "StreamStats",
    "srtp_library",
]
