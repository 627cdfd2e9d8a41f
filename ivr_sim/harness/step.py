"""What a caller does, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from ivr_sim.harness.vocabulary import PARAMETERS, PromptName, known
from ivr_sim.journal import KeyMethod

__all__ = ["STEPS", "HangUp", "Hear", "Model", "Play", "Press", "Step", "Wait"]

KEYS = frozenset("0123456789*#ABCD")


class Model(BaseModel):
    """A part of a file: what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Hear(Model):
    """The caller hears a prompt to its end, or for so many seconds of it, and goes on.

    with: parameters that it must be said with. within: seconds from the step's beginning until the prompt
    begins. for: seconds from the prompt's beginning after which the caller goes on, whether or not it has
    ended; a key pressed then cuts it.
    """

    hear: PromptName
    with_: Annotated[dict[str, str], Field(alias="with")] = {}
    within: Annotated[float, Field(gt=0, le=600)] = 30.0
    for_: Annotated[float | None, Field(alias="for", ge=0, le=60)] = None

    @model_validator(mode="after")
    def _says_it(self) -> Hear:
        for name in self.with_:
            known(f"parameter of {self.hear}", name, PARAMETERS[self.hear])
        return self

    def __str__(self) -> str:
        return f"hear {self.hear}"


class Press(Model):
    """The caller presses keys: 0-9, ``*``, ``#``, A-D. by: unless it is the caller's own way."""

    press: Annotated[str, Field(repr=False)]
    by: KeyMethod | None = None

    @field_validator("press")
    @classmethod
    def _are_keys(cls, keys: str) -> str:
        if not keys or set(keys) - KEYS:
            raise ValueError('keys are 0-9, *, #, A-D, in quotes where YAML needs them: press: "{key}#"')
        return keys

    def __str__(self) -> str:
        return f"press {len(self.press)} keys" if len(self.press) > 1 else "press a key"


class Play(Model):
    """The caller plays a recording: a WAV beside the scenario."""

    play: Annotated[str, Field(min_length=1)]

    def __str__(self) -> str:
        return f"play {self.play}"


class Wait(Model):
    """The caller waits so many seconds."""

    wait: Annotated[float, Field(ge=0, le=600)]

    def __str__(self) -> str:
        return f"wait {self.wait:g} s"


class HangUp(Model):
    """The caller hangs up."""

    hang_up: Literal[""] = ""

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, value: Any) -> Any:
        return {} if value == "hang_up" else value

    def __str__(self) -> str:
        return "hang up"


STEPS: Mapping[str, type[Model]] = {
    "hear": Hear, "press": Press, "play": Play, "wait": Wait, "hang_up": HangUp,
}  # fmt: skip


def _kind(value: Any) -> str | None:
    """Which step this is, by the word that it has; what is none of them becomes an error."""
    if isinstance(value, Model):
        return type(value).__name__
    words = [value] if value == "hang_up" else [w for w in STEPS if isinstance(value, Mapping) and w in value]
    return STEPS[words[0]].__name__ if len(words) == 1 else None


Step = Annotated[
    Annotated[Hear, Tag("Hear")]
    | Annotated[Press, Tag("Press")]
    | Annotated[Play, Tag("Play")]
    | Annotated[Wait, Tag("Wait")]
    | Annotated[HangUp, Tag("HangUp")],
    Discriminator(_kind),
]
