"""Faults that a call can be placed under: what a scenario asks for, and the named ones.

What they do to a network is carried out in ``fault_network``, what they do to the merchant's authorizer and
to Openpay in ``fault_services``. All of it is seeded: the same seed loses the same packets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ivr_sim.errors import ConfigurationError
from ivr_sim.openpay import TEST_CARDS

if TYPE_CHECKING:
    from ivr_sim.harness.scenario import Case

__all__ = ["FAULTS", "AuthorizerFault", "Faults", "NamedFault", "check_faults"]

DECLINE = "decline:"
# The codes with which a bank declines: those that some test card is declined with.
DECLINES = sorted({card.error_code for card in TEST_CARDS if card.error_code is not None})
OPENPAY = ("down", "lost_answer", "twice", "5xx", "5xx_charged", "duplicate_order")

AuthorizerFault = Literal["down", "reset", "dripping", "500", "wrong_type", "bad_json", "wrong_amount_type"]
Share = Annotated[float, Field(ge=0, le=1)]


class Faults(BaseModel):
    """The faults of one call; without any, everything works.

    rtp_loss, rtp_reorder, rtp_duplicate: the share of the packets, each way, that are lost, that come after
    their successor, that come twice. rtp_jitter_ms: each packet is late by up to so much.
    sip_late_200: seconds that the 200 to the INVITE is on its way. sip_lost_ack: how many of the ACKs to
    it are lost, the first ones.
    authorizer_delay: seconds that the merchant's answer comes late. authorizer: what is wrong with it.
    openpay_delay: seconds that the answer to a charge comes late. openpay: what goes wrong with a charge.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rtp_loss: Share = 0.0
    rtp_jitter_ms: Annotated[float, Field(ge=0, le=1000)] = 0.0
    rtp_reorder: Share = 0.0
    rtp_duplicate: Share = 0.0
    sip_late_200: Annotated[float, Field(ge=0, le=30)] = 0.0
    sip_lost_ack: Annotated[int, Field(ge=0, le=20)] = 0
    authorizer_delay: Annotated[float, Field(ge=0, le=60)] = 0.0
    authorizer: AuthorizerFault | None = None
    openpay_delay: Annotated[float, Field(ge=0, le=60)] = 0.0
    openpay: str | None = None

    @field_validator("openpay")
    @classmethod
    def _is_known(cls, openpay: str | None) -> str | None:
        if openpay is None or openpay in OPENPAY:
            return openpay
        if openpay.startswith(DECLINE) and openpay.removeprefix(DECLINE) in map(str, DECLINES):
            return openpay
        codes = ", ".join(map(str, DECLINES))
        raise ValueError(f"must be {', '.join(OPENPAY)} or {DECLINE}CODE with one of {codes}")

    @model_validator(mode="after")
    def _can_be_together(self) -> Faults:
        if self.authorizer == "down" and self.authorizer_delay:
            raise ValueError("a service that is down does not answer late: drop authorizer_delay")
        if self.openpay == "down" and self.openpay_delay:
            raise ValueError("a service that is down does not answer late: drop openpay_delay")
        return self

    @property
    def declined_with(self) -> int | None:
        """The code with which the bank declines every card, if it does."""
        if self.openpay is None or not self.openpay.startswith(DECLINE):
            return None
        return int(self.openpay.removeprefix(DECLINE))

    @property
    def asked_for(self) -> tuple[str, ...]:
        """The names of the fields that ask for a fault."""
        return tuple(name for name, value in self if value)

    def impossible(
        self, *, virtual: bool, tape: bool = False, own_authorizer: bool = True, own_openpay: bool = True
    ) -> dict[str, str]:
        """What cannot be had: the field, and why not and what to do.

        virtual: the call is held in virtual time, without a network; tape: the caller is a recording, of
        which frames can be lost. own_authorizer, own_openpay: whether these are ours and not outside.
        """
        reasons: dict[str, str] = {}
        for name in self.asked_for:
            side = name.partition("_")[0]
            if side in ("rtp", "sip") and virtual and not (name == "rtp_loss" and tape):
                reasons[name] = "needs a placed call: run it with `ivr-sim call`, or `ivr-sim replay --sip`"
            elif side == "authorizer" and not own_authorizer:
                reasons[name] = "needs the authorizer that comes with this program: leave out --authorizer"
            elif side == "openpay" and not own_openpay:
                reasons[name] = "needs the Openpay stand-in of this program: leave out --openpay"
        return reasons


def check_faults(case: Case, *, virtual: bool, own_authorizer: bool = True, own_openpay: bool = True) -> None:
    """Refuse a call whose faults cannot be had as it is run; see ``Faults.impossible``.

    Raises ConfigurationError that names file, line and field.
    """
    impossible = case.scenario.faults.impossible(
        virtual=virtual,
        tape=case.wav is not None,
        own_authorizer=own_authorizer,
        own_openpay=own_openpay,
    )
    for name, reason in impossible.items():
        raise ConfigurationError(f"{case.path}:{case.line_of('faults', name)}: faults.{name} {reason}")


@dataclass(frozen=True, kw_only=True)
class NamedFault:
    """A fault that people can ask for by its name, and what must come of a call under it.

    what: what goes wrong. must: what the caller and the merchant must find. outcome, cause: how the call of
    a payer with a good card ends. charges: how many completed charges the order then has.
    """

    faults: Faults
    what: str
    must: str
    outcome: str = "approved"
    cause: str | None = None
    charges: int = 1


def _nothing_charged(what: str, outcome: str, cause: str, must: str, **faults: object) -> NamedFault:
    return NamedFault(
        faults=Faults.model_validate(faults), what=what, must=must, outcome=outcome, cause=cause, charges=0
    )


def _authorizer(what: str, cause: str, **faults: object) -> NamedFault:
    must = f"an apology; the journal says {cause}; nothing is charged"
    return _nothing_charged(what, "authorizer_failed", cause, must, **faults)


def _harmless(what: str, must: str, **faults: object) -> NamedFault:
    return NamedFault(faults=Faults.model_validate(faults), what=what, must=must)


FAULTS: Mapping[str, NamedFault] = {
    "rtp_loss": _harmless(
        "2 % of the RTP packets are lost, each way", "the call goes on; keys are heard once", rtp_loss=0.02
    ),
    "rtp_jitter": _harmless(
        "RTP packets are up to 30 ms late", "the call goes on; keys are heard once", rtp_jitter_ms=30
    ),
    "rtp_reorder": _harmless(
        "5 % of the RTP packets come after the next one",
        "the call goes on; keys are heard once",
        rtp_reorder=0.05,
    ),
    "rtp_duplicate": _harmless(
        "5 % of the RTP packets come twice", "the call goes on; keys are heard once", rtp_duplicate=0.05
    ),
    "sip_late_200": _harmless(
        "the 200 to the INVITE takes 3 seconds", "it is repeated, and the call is one call", sip_late_200=3
    ),
    "sip_lost_ack": _harmless(
        "the first two ACKs of the answer are lost",
        "the 200 is repeated until an ACK comes; the call goes on",
        sip_lost_ack=2,
    ),
    "authorizer_slow": _harmless(
        "the merchant's service answers after 4.9 seconds", "that is in time", authorizer_delay=4.9
    ),
    "authorizer_late": _authorizer(
        "the merchant's service answers after 5.1 seconds", "timeout", authorizer_delay=5.1
    ),
    "authorizer_down": _authorizer("the merchant's service does not listen", "connect", authorizer="down"),
    "authorizer_reset": _authorizer(
        "the merchant's service resets the connection", "connect", authorizer="reset"
    ),
    "authorizer_dripping": _authorizer(
        "the merchant's answer comes a byte every tenth of a second", "timeout", authorizer="dripping"
    ),
    "authorizer_500": _authorizer("the merchant's service answers 500", "status", authorizer="500"),
    "authorizer_wrong_type": _harmless(
        "the merchant's answer is called text/html, though it is JSON",
        "the body counts, not what it is called",
        authorizer="wrong_type",
    ),
    "authorizer_bad_json": _authorizer(
        "the merchant's JSON breaks off in the middle", "not_json", authorizer="bad_json"
    ),
    "authorizer_wrong_amount_type": _authorizer(
        "the merchant's amount is a string", "bad_fields", authorizer="wrong_amount_type"
    ),
    "card_declined": _nothing_charged(
        "the bank declines every card, with 3001",
        "declined",
        "code_3001",
        "the reason in plain words; another card is offered",
        openpay="decline:3001",
    ),
    "openpay_down": _nothing_charged(
        "Openpay does not listen",
        "openpay_failed",
        "connect",
        "an apology; nothing was sent, so nothing is asked",
        openpay="down",
    ),
    "openpay_late": _harmless(
        "Openpay makes the charge, and answers after 21 seconds",
        "Openpay is asked what came of it; the caller hears that it is paid",
        openpay_delay=21,
    ),
    "openpay_lost_answer": _harmless(
        "Openpay makes the charge, and its answer is lost",
        "Openpay is asked what came of it; the caller hears that it is paid",
        openpay="lost_answer",
    ),
    "openpay_twice": _harmless(
        "the charge reaches Openpay twice, and the answer to the second, a refusal, comes back",
        "Openpay is asked whose charge it has; the caller hears that it is paid",
        openpay="twice",
    ),
    "openpay_5xx": _nothing_charged(
        "Openpay answers 503 and makes no charge",
        "openpay_failed",
        "the charge never reached it",
        "Openpay is asked three times over 30 seconds, and knows of nothing; an apology",
        openpay="5xx",
    ),
    "openpay_5xx_charged": _harmless(
        "Openpay makes the charge, and a gateway before it answers 504",
        "Openpay is asked what came of it; the caller hears that it is paid",
        openpay="5xx_charged",
    ),
    "openpay_duplicate_order": NamedFault(
        faults=Faults(openpay="duplicate_order"),
        what="somebody else pays the order just before the charge, which is refused with 1006",
        must="the caller hears that it is paid already; the order is paid once",
        outcome="key_refused",
        cause="already_paid",
    ),
}
