"""What can be set: by flags, by the environment (IVR_SIM_*), by ivr-sim.toml, or left as it is.

In this order: what comes first wins. A setting that does not exist is an error that names the nearest one.
Passwords and private keys are no settings: they come from the environment alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ivr_sim.errors import ConfigurationError

__all__ = ["PREFIX", "Settings", "load"]

PREFIX = "IVR_SIM_"
FILE = Path("ivr-sim.toml")
# Of the environment, but read elsewhere.
OTHERS = {"IVR_SIM_CACHE", "IVR_SIM_LOG_LEVEL", "IVR_SIM_STATE", "IVR_SIM_REGISTER_PASSWORD"}


class Settings(BaseModel):
    """The settings of ``ivr-sim serve``. Ports: None is the default, which gives way when it is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path = Path(".ivr-sim")
    shop: str = Field("Tienda Demo", min_length=1, max_length=80)
    language: str = "es-MX"
    lan: bool = False
    advertise: str | None = None
    http_host: str = "127.0.0.1"
    sip_port: int | None = Field(None, ge=0, le=65535)
    tls_port: int | None = Field(None, ge=0, le=65535)  # SIP over TLS; None: not spoken
    tls_certificate: Path | None = None  # PEM; made in the data folder where none is given
    tls_key: Path | None = None
    tls_authority: Path | None = None  # PEM; who is believed where we connect, not the system's
    srtp: Literal["off", "allowed", "required"] = "off"  # audio encrypted with keys that SIP carries (SDES)
    rtp_first: int = Field(16384, ge=1024, le=65534)
    rtp_last: int = Field(32766, ge=1024, le=65535)
    authorizer_port: int | None = Field(None, ge=0, le=65535)
    openpay_port: int | None = Field(None, ge=0, le=65535)
    authorizer: str | None = None
    user: str | None = None
    openpay: str | None = None
    merchant_id: str | None = None
    register_at: str | None = None
    key_length: int | None = Field(None, ge=4, le=12)
    lines: int = Field(0, ge=0, le=64)  # processes that carry the calls; 0: the one process does


def load(
    flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None
) -> tuple[Settings, dict[str, str]]:
    """The settings, and where each that is not a default came from.

    flags: those given, None for the others. file: read if given, otherwise ``ivr-sim.toml`` if it is there.
    Raises ConfigurationError.
    """
    known = Settings.model_fields
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}

    def take(given: Mapping[str, Any], source: str) -> None:
        for name, value in given.items():
            if name not in known:
                nearest = get_close_matches(name, known, n=1, cutoff=0.5)
                meant = f"; did you mean {nearest[0]!r}?" if nearest else f"; known are {', '.join(known)}"
                raise ConfigurationError(f"{source}: there is no setting {name!r}{meant}")
            values[name], sources[name] = value, source

    path = file or (FILE if FILE.is_file() else None)
    if path is not None:
        take(_read(path), str(path))
    take(
        {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environ.items()
            if name.startswith(PREFIX) and name not in OTHERS
        },
        "the environment",
    )
    take({name: value for name, value in flags.items() if value is not None}, "the command line")
    try:
        return Settings(**values), sources
    except ValidationError as wrong:
        first = wrong.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        raise ConfigurationError(
            f"{sources.get(name, 'settings')}: {name} cannot be used: {first['msg']}"
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from error
