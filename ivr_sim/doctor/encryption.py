"""Whether calls can be encrypted as the settings want it."""

from __future__ import annotations

from ivr_sim.doctor.check import Check
from ivr_sim.errors import ConfigurationError
from ivr_sim.media import srtp_library
from ivr_sim.served import caution
from ivr_sim.settings import Settings

__all__ = ["encryption"]


def encryption(settings: Settings) -> Check:
    """What SIP and audio are encrypted with, and whether the keys of the audio can be read on the way."""
    name = "encryption"
    tls = "off" if settings.tls_port is None else f"at port {settings.tls_port}"
    what = f"SIP over TLS {tls}, encrypted audio (SRTP) {settings.srtp}"
    if settings.srtp != "off":
        try:
            srtp_library()
        except ConfigurationError as error:
            return Check(name, "fail", f"{what}, and pylibsrtp is missing", str(error))
    careless = caution(settings)
    if careless is None:
        return Check(name, "ok", what)
    return Check(name, "warn", *careless)
