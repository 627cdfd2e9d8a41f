"""The summary of one call, in Markdown, to be pasted into a bug report."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ivr_sim import journal as j
from ivr_sim.logs import redacted
from ivr_sim.reports.headline import WAYS, advice, headline, refused_tones, the

__all__ = ["CallStory", "summary"]

Words = Callable[[str, Mapping[str, str]], str]
EXPECTED = {  # by the entry; who keys ahead is not asked for it
    "payment_key": "a payment key, 4 to 12 digits and #",
    "accept": "1 to pay, 2 to reject, 3 to hear it again",
    "card_number": "a card number",
    "expiry": "MMYY",
    "cvv": "3 digits (4 for American Express)",
    "another_card": "1 for another card, 2 to end",
}
ASKING = {
    "ask_key": "payment_key",
    "ask_accept": "accept",
    "ask_card": "card_number",
    "ask_expiry": "expiry",
    "ask_cvv": "cvv",
    "ask_another_card": "another_card",
}
COURTESIES = ("welcome", "one_moment", "goodbye")
_QUERY = re.compile(r"(?<=\S)\?\S+")  # of a URL
_SECRET = re.compile(r"password|secret|token|private|credential|_key$", re.IGNORECASE)


@dataclass
class CallStory:
    """What is known of a call that is over.

    around: findings that belong to no call, from while it lasted. packets: counts of its media. settings:
    names and values, secrets masked. versions: of ivr-sim and what it runs on. files: each file of the
    folder, with what went wrong in writing it, or None.
    """

    name: str
    records: Sequence[j.Record]
    around: Sequence[j.Record] = ()
    packets: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str | None] = field(default_factory=dict)
    folder: str = ""


def summary(story: CallStory, words: Words) -> str:
    """All of it; the first two lines say what happened and what to do about it.

    words: the text of a phrase by name and parameters.
    """
    events = [record.event for record in story.records]
    findings = [record for record in story.records if isinstance(record.event, j.Finding)]
    lines = [f"# Call {story.name}: {_plain(headline(story.records))}", _second(story, events, words), ""]
    lines += ["## What happened", "", *_steps(story.records, words), ""]
    if findings:
        lines += ["## What does not work", "", *map(_finding, findings), ""]
    if story.around:
        lines += ["## Seen meanwhile, outside of this call", "", *map(_finding, story.around), ""]
    lines += ["## The telephone", "", *_telephone(story, events), ""]
    lines += ["## Where it ran", "", *(f"- {n}: {_plain(v)}" for n, v in story.versions.items()), ""]
    if story.settings:
        lines += ["## Settings", "", *(_setting(n, v) for n, v in story.settings.items()), ""]
    lines += ["## Files", "", f"In `{_plain(story.folder)}`:", ""]
    lines += [f"- {n}" + (f": **missing** ({_plain(why)})" if why else "") for n, why in story.files.items()]
    # Line by line: numbers of one line and of the next are no card's.
    return "\n".join(redacted(line) for line in lines) + "\n"


def _second(story: CallStory, events: Sequence[j.Event], words: Words) -> str:
    """The line behind the headline: what to do, or what else is to be known."""
    finding = next((event for event in events if isinstance(event, j.Finding)), None)
    if finding is None and story.around and the(events, j.CallFailed) is not None:
        last = story.around[-1].event  # why a call is refused is found before it is a call
        finding = last if isinstance(last, j.Finding) else None
    if finding is not None:
        return f"**{_plain(finding.what)}** {_plain(finding.advice)}"
    said = advice(events)
    tones = refused_tones(events)
    if tones:
        said += f" {tones[:1].upper()}{tones[1:]}."
    prompts = [e for e in events if isinstance(e, j.PromptStarted) and e.name not in COURTESIES]
    ended = the(events, j.CallEnded)
    if prompts:
        # What told the caller the outcome says more than the question that may have followed it.
        telling = [e for e in prompts if ended is not None and e.name == ended.outcome] or prompts
        said += f" The caller heard at last: «{_said(telling[-1], words)}»"
    offered = the(events, j.CallOffered)
    if offered is not None:
        agent = f" with {_plain(offered.user_agent)}" if offered.user_agent else ""
        at = story.records[0].at.isoformat(" ", "seconds") if story.records else ""
        said += f" {_plain(offered.from_)} called {_plain(offered.to)}{agent} at {at}."
    return said.strip()


def _steps(records: Sequence[j.Record], words: Words) -> list[str]:
    """A table: what was said or asked, what was expected of the other side, and what came."""
    rows: list[str] = []
    said: list[tuple[j.PromptStarted, bool]] = []
    since: float | None = None
    keys: list[j.KeyPressed] = []

    def close(came: str, *, asked: str = "", expected: str = "", t: float | None) -> None:
        nonlocal since
        if said and not asked:
            asked = ", ".join(prompt.name + (" (cut)" if cut else "") for prompt, cut in said)
            expected = expected or EXPECTED.get(ASKING.get(said[-1][0].name, ""), "")
            texts = [_said(prompt, words) for prompt, _ in said if prompt.name not in COURTESIES]
            asked += f": «{' '.join(texts)}»" if texts else ""
        rows.append(f"| {_time(since if said else t)} | {asked} | {expected} | {came} |")
        if said:
            said.clear()
        since = None

    for record in records:
        event = record.event
        match event:
            case j.PromptStarted():
                if keys or (said and said[-1][0].name in ASKING):
                    close(_pressed(keys) if keys else "nothing", t=record.t)
                    keys.clear()
                since = record.t if not said else since
                said.append((event, False))
            case j.PromptEnded(cut_by=cut) if said and cut is not None:
                said[-1] = (said[-1][0], True)
            case j.KeyPressed():
                keys.append(event)
            case j.EntryAccepted():
                value = f"{event.length} digits, kept secret" if event.value is None else _plain(event.value)
                came = _both(_pressed(keys), f"{event.field}: {value}")
                close(came, expected=EXPECTED.get(event.field, ""), t=record.t)
                keys.clear()
            case j.EntryRefused():
                wrong = f"**{event.field} refused: {event.reason}**"
                close(_both(_pressed(keys), wrong), expected=EXPECTED.get(event.field, ""), t=record.t)
                keys.clear()
            case j.AuthorizerReplied():
                status = "no answer" if event.status is None else f"HTTP {event.status}"
                came = f"{status}, {event.cause}, {event.ms} ms"
                good = event.cause in ("ok", "refused")
                close(
                    came if good else f"**{came}**",
                    asked="authorizer asked for the payment key",
                    expected="an answer in 5 s",
                    t=record.t,
                )
            case j.ChargeSettled():
                code = f", error {event.error_code}" if event.error_code else ""
                charge = f", charge {event.charge_id}" if event.charge_id else ""
                came = f"{event.result}{code}{charge}, {event.ms} ms"
                close(
                    came if event.result == "approved" else f"**{came}**",
                    asked="Openpay asked to charge the card",
                    expected="approved",
                    t=record.t,
                )
            case j.CallFailed():
                close(
                    f"**{event.status} {_plain(event.reason)}**",
                    asked="the call",
                    expected="an answer",
                    t=record.t,
                )
            case j.CallEnded():
                cause = f" ({_plain(event.cause)})" if event.cause else ""
                came = f"ended by the {event.by}: {event.outcome}{cause}"
                close(_both(_pressed(keys), came), t=record.t)
                keys.clear()
            case j.ChargeReconciled():
                close(f"{event.result}", asked="Openpay asked again for the charge", expected="", t=record.t)
    return ["| s | said or asked | expected | came |", "|---:|---|---|---|", *rows]


def _said(prompt: j.PromptStarted, words: Words) -> str:
    try:
        return _plain(words(prompt.name, prompt.params))
    except Exception:
        return prompt.name  # a phrase that this version does not know any longer


def _pressed(keys: Sequence[j.KeyPressed]) -> str:
    if not keys:
        return ""
    ways = Counter(WAYS.get(key.method, key.method) for key in keys)
    lengths = sorted(key.duration_ms for key in keys)
    levels = sorted(key.level_dbm0 for key in keys if key.level_dbm0 is not None)
    level = f", {levels[0]:.0f} dBm0" if levels else ""
    length = f"{lengths[0]}" if lengths[0] == lengths[-1] else f"{lengths[0]} to {lengths[-1]}"
    return f"{len(keys)} key{'s' * (len(keys) > 1)} by {', '.join(ways)}, {length} ms{level}"


def _both(keys: str, came: str) -> str:
    return f"{keys}; {came}" if keys else came


def _time(t: float | None) -> str:
    return "" if t is None else f"{t:.2f}"


def _telephone(story: CallStory, events: Sequence[j.Event]) -> list[str]:
    offered, answered = the(events, j.CallOffered), the(events, j.CallAnswered)
    used = Counter(event.method for event in events if isinstance(event, j.KeyPressed))
    agent = offered.user_agent if offered is not None else None
    lines = [f"- User-Agent: {_plain(agent) if agent else 'it did not say'}"]
    if offered is not None:
        lines.append(
            f"- from {_plain(offered.from_)} to {_plain(offered.to)}, Call-ID {_plain(offered.call_id)}"
        )
    lines.append(f"- codec: {answered.codec if answered is not None else 'never agreed on'}")
    if answered is not None:
        lines.append(f"- ways of keying that the call allows: {_ways(answered.key_methods)}")
    came = ", ".join(f"{WAYS.get(way, way)} ({count} keys)" for way, count in used.items())
    lines.append(f"- ways of keying used: {came or 'none: no key was heard'}")
    if tones := refused_tones(events):
        lines.append(f"- {tones}")
    if story.packets:
        counts = ", ".join(f"{name} {count}" for name, count in story.packets.items())
        lines.append(f"- RTP packets of the line: {counts}")
    return lines


def _ways(methods: Sequence[str]) -> str:
    return ", ".join(WAYS.get(method, method) for method in methods) or "none"


def _finding(record: j.Record) -> str:
    event = record.event
    assert isinstance(event, j.Finding)
    t = "" if record.t is None else f" at {record.t:.2f} s"
    return f"- `{event.code}`{t}: {_plain(event.what)} **{_plain(event.advice)}**"


def _setting(name: str, value: object) -> str:
    if value is None:
        return f"- {name} is not set"
    shown = "(not shown)" if _SECRET.search(name) and value else _QUERY.sub("?(not shown)", _plain(value))
    return f"- {name} = {shown}"


def _plain(value: object) -> str:
    """A text of somebody else's: no line of its own, no Markdown that hides something."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    return re.sub(r"([|<>`*_\[\]])", r"\\\1", text) if re.search(r"[|<`\[\]]", text) else text
