"""Labels: what a recorded call is given and what it must come to (``NAME.call.yaml``).

One model serves labels and, later, scenarios. All scalars are read as text and typed by the model: YAML
would read ``0130`` as 88 and ``no`` as false.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ivr_sim.errors import ConfigurationError
from ivr_sim.prompts import DEFAULT_LANGUAGE, Catalogue

__all__ = ["SUFFIX", "Expected", "Given", "Label", "read_label"]

SUFFIX = ".call.yaml"
SECRET_FIELDS = ("card_number", "expiry", "cvv")
MAX_BYTES = 64 * 1024


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Given(_Model):
    """The merchant's side: a payment key that can be paid, and the card by its name."""

    key: Annotated[str, Field(pattern=r"^[1-9][0-9]{3,11}$")]
    amount: Annotated[Decimal, Field(gt=0, max_digits=11, decimal_places=2)]
    order_id: Annotated[str, Field(min_length=1, max_length=100)]
    description: Annotated[str, Field(min_length=1, max_length=250)]
    card: str | None = None


class Expected(_Model):
    """What must have happened.

    entries: per field the value that was accepted, or the list of them where it was asked for more than
    once; secret fields are never written down. prompts: names that must be heard, in this order.
    """

    outcome: str
    entries: dict[str, str | list[str]] = {}
    prompts: list[str] = []

    @field_validator("entries")
    @classmethod
    def _no_secrets(cls, entries: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
        for field in entries:
            if field in SECRET_FIELDS:
                raise ValueError(f"{field} is secret and never written down; name the card in given.card")
        return entries


class Label(_Model):
    """A recorded call: its recording, the day it was made, what it is given, what is expected.

    language: what the line spoke; on it depends how long each prompt lasts.
    """

    version: Literal["1"]
    number: str = "5000"
    language: str = DEFAULT_LANGUAGE
    wav: str
    recorded_on: date
    given: Given
    expect: Expected

    @field_validator("language")
    @classmethod
    def _has_texts(cls, language: str) -> str:
        return Catalogue(language).language


def read_label(path: Path) -> Label:
    """Read a label. Raises ConfigurationError that names the file, the place, and what is wrong."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(f"{path}: larger than {MAX_BYTES} bytes; is this a label?")
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: a label is a mapping with version, wav, given and expect")
    try:
        return Label.model_validate(data)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(p) for p in e['loc']) or 'label'}: {e['msg']}" for e in error.errors()
        )
        raise ConfigurationError(f"{path}: {wrong}") from error
