"""What happened in a call, in one sentence: for the first line of its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ivr_sim import journal as j

__all__ = ["WAYS", "advice", "headline", "refused_tones", "the"]

E = TypeVar("E", bound=j.Event)

ASKED = {
    "payment_key": "the payment key",
    "accept": "whether to pay (1, 2 or 3)",
    "card_number": "the card number",
    "expiry": "the card's expiry",
    "cvv": "the security code",
    "another_card": "whether to try another card (1 or 2)",
}
AUTHORIZER = {
    "dns": "its host name could not be resolved",
    "connect": "no connection could be made, or it broke",
    "tls": "no trustworthy TLS connection could be made",
    "timeout": "it gave no whole answer in time (5 s are allowed)",
    "not_json": "what it answered is not JSON",
    "bad_fields": "fields of its answer are missing or wrong",
    "internal": "asking it failed inside of ivr-sim, which is a defect",
}
WAYS = {"rfc4733": "RFC 4733", "info": "SIP INFO", "inband": "in-band tones"}
# What to do about each, where it is known.
ADVICE = {
    "dns": "Look at the host in the authorizer's URL.",
    "connect": "See that the authorizer runs and listens where its URL says.",
    "tls": "See that its certificate is valid for its host, and signed by an authority that is known.",
    "timeout": "See what the authorizer does meanwhile; http.txt tells what came when.",
    "status": "Look into the authorizer's log; http.txt has the request, and what it answered.",
    "not_json": "http.txt has what it answered.",
    "bad_fields": "http.txt has what it answered; it takes response_code, amount, order_id and description.",
    "internal": "The log of ivr-sim has more; please report it.",
}
TONES = {
    "too_short": "too short",
    "too_weak": "too weak",
    "twist": "with one of the two tones much louder than the other (twist)",
    "frequency": "off the frequencies of a key",
    "purity": "with too much else that sounded",
    "echo": "the echo of a key that was taken",
}


def headline(records: Sequence[j.Record]) -> str:
    """One sentence about the call that these records tell of: how it ended, and why."""
    events = [record.event for record in records]
    failed, ended = the(events, j.CallFailed), the(events, j.CallEnded)
    if failed is not None:
        return f"The call was refused before it was answered: {failed.status} {failed.reason}."
    if ended is None:
        return "The call is not over, or ivr-sim stopped before it was."
    match ended.outcome:
        case "approved":
            return f"The payment was approved{_charged(events)}."
        case "declined":
            settled = the(events, j.ChargeSettled)
            code = f" with error {settled.error_code}" if settled is not None and settled.error_code else ""
            return f"Nothing was paid: the card was declined{code}{_charged(events)}."
        case "tried":
            offered = the(events, j.CallOffered)
            where = f" at {offered.to}" if offered is not None else ""
            return f"The telephone was tried out{where}. {_heard_keys(events)}"
        case "rejected":
            return "Nothing was paid: the caller heard the amount and pressed 2, which rejects it."
        case "key_refused" if ended.cause == "already_paid":
            return "Nothing was charged: this order is paid already."
        case "key_refused":
            code = (ended.cause or "").removeprefix("code_")
            return f"Nothing was paid: the authorizer refused the payment key (response_code {code})."
        case "authorizer_failed":
            return f"Nothing was paid: the authorizer failed: {_authorizer(events)}."
        case "openpay_failed":
            return f"Nothing was paid: Openpay failed ({ended.cause}){_charged(events)}."
        case "unknown":
            return (
                "Whether the payment was charged is not known: Openpay gave no answer to the charge"
                f"{_charged(events)}; look at `ivr-sim charges`."
            )
        case "no_input" if ended.cause == "time_limit":
            return "Nothing was paid: the call reached its time limit."
        case "no_input":
            asked = ASKED.get(ended.cause or "", ended.cause or "an entry")
            return f"Nothing was paid: {asked} was asked for until the tries were used up: {_why(events)}."
    if ended.cause == "no_voice":
        return "The call broke off: a prompt has no sound and could not be rendered."
    if ended.cause is not None and ended.cause.startswith("internal_error"):
        return f"The call broke off by a defect of ivr-sim ({ended.cause})."
    if ended.cause == "cut_off":
        return f"Nothing was paid: we cut the call off.{_last_refusal(events)} {_heard_keys(events)}"
    prompt = the(events, j.PromptStarted)
    last = f' The last prompt was "{prompt.name}".' if prompt is not None else ""
    refusal = _last_refusal(events)
    return f"Nothing was paid: the {ended.by} hung up ({ended.outcome}).{refusal}{last} {_heard_keys(events)}"


def _last_refusal(events: Sequence[j.Event]) -> str:
    """What the caller was refused last, as a sentence; empty if nothing was."""
    for event in reversed(events):
        if isinstance(event, j.AuthorizerReplied) and event.cause == "refused":
            return " Before that, the authorizer had refused the payment key."
        if isinstance(event, j.EntryRefused):
            return f" Before that, {ASKED.get(event.field, event.field)} was not taken: {event.reason}."
        if isinstance(event, j.EntryAccepted | j.ChargeSettled):
            return ""
    return ""


def advice(events: Sequence[j.Event]) -> str:
    """What to do, as far as the journal alone can tell; may be empty."""
    ended, replied = the(events, j.CallEnded), the(events, j.AuthorizerReplied)
    outcome = ended.outcome if ended is not None else None
    if outcome == "authorizer_failed" and replied is not None:
        return ADVICE.get(replied.cause, "")
    if outcome == "declined":
        return "That is the bank's word: another card, or whoever owns this one asks the bank."
    if outcome in ("key_refused", "openpay_failed"):
        return "http.txt has the requests, and what was answered."
    silent = not any(isinstance(event, j.KeyPressed) for event in events)
    answered = the(events, j.CallAnswered)
    if outcome in ("no_input", "abandoned") and silent and answered is not None:
        ways = ", ".join(WAYS[way] for way in answered.key_methods)
        return (
            f"If keys were pressed, see how the telephone sends them; in this call they could come by {ways}."
        )
    return "ladder.txt has what was offered and answered." if the(events, j.CallFailed) is not None else ""


def the(events: Sequence[j.Event], kind: type[E]) -> E | None:
    """The last event of a kind."""
    return next((event for event in reversed(events) if isinstance(event, kind)), None)


def _heard_keys(events: Sequence[j.Event]) -> str:
    """How many keys were heard, as a sentence."""
    keys = sum(isinstance(event, j.KeyPressed) for event in events)
    tones = refused_tones(events)
    heard = "No key was heard" if not keys else f"{keys} key{'s were' if keys > 1 else ' was'} heard"
    return f"{heard}{'; ' + tones if tones else ''}."


def refused_tones(events: Sequence[j.Event]) -> str:
    """The tones that were not taken for keys, by reason; empty when there were none."""
    by_reason: dict[str, list[j.KeyRefused]] = {}
    for event in events:
        if isinstance(event, j.KeyRefused):
            by_reason.setdefault(event.reason, []).append(event)
    parts = []
    for reason, tones in by_reason.items():
        lengths = sorted(tone.duration_ms for tone in tones)
        levels = sorted(tone.level_dbm0 for tone in tones if tone.level_dbm0 is not None)
        twists = sorted(tone.twist_db for tone in tones if tone.twist_db is not None)
        told = [f"{_span(lengths, 0)} ms"]
        told += [f"{_span(levels, 0)} dBm0"] if levels else []
        told += [f"twist {_span(twists, 1)} dB"] if twists else []
        word = f"tone{'s were' if len(tones) > 1 else ' was'}"
        why = TONES.get(reason, reason)
        parts.append(f"{len(tones)} {word} heard but not taken for a key: {why} ({', '.join(told)})")
    return "; ".join(parts)


def _span(values: Sequence[float], places: int) -> str:
    first, last = f"{values[0]:.{places}f}", f"{values[-1]:.{places}f}"
    return first if first == last else f"{first} to {last}"


def _why(events: Sequence[j.Event]) -> str:
    refusals = [event.reason for event in events if isinstance(event, j.EntryRefused)][-3:]
    if refusals and all(reason == "silence" for reason in refusals):
        return _heard_keys(events).removesuffix(".").replace("No key", "no key")
    return "the last entries were refused as " + ", ".join(refusals)


def _authorizer(events: Sequence[j.Event]) -> str:
    replied = the(events, j.AuthorizerReplied)
    if replied is None:
        return "no word from it"
    why = f"it answered HTTP {replied.status}" if replied.cause == "status" else AUTHORIZER[replied.cause]
    return f"{why}; it took {replied.ms} ms"


def _charged(events: Sequence[j.Event]) -> str:
    sent, settled = the(events, j.ChargeSent), the(events, j.ChargeSettled)
    if sent is None:
        return ""
    charge = f", charge {settled.charge_id}" if settled is not None and settled.charge_id else ""
    return f", {sent.amount} for order {sent.order_id}{charge}"
