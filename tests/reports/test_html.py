"""The report for people: what is in the file, that it stays small, and that nothing in it does harm."""

import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.reports import Artefacts, CallVerdict, Failure, PromptHeard, Run, write_html

STARTED = datetime(2026, 11, 23, 12, tzinfo=UTC)
WRONG = Failure("prompt amount", "200.00", "2000.00", 5.0, "calls/wrong.call.yaml", 9)
VOID = {"meta", "link", "input", "img", "br"}
OPTIONAL = {"li", "dt", "dd", "tr", "th", "td", "p"}  # whose end may be left out


class Page(HTMLParser):
    """The elements of a page, each with its attributes and the text below it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)
        self.close()
        assert [tag for tag, *_ in self.open if tag not in OPTIONAL] == []

    def handle_starttag(self, tag, attrs):
        element = (tag, dict(attrs), [])
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        while self.open and self.open[-1][0] != tag:
            assert self.open[-1][0] in OPTIONAL, (tag, self.open[-1])
            self.open.pop()
        self.open.pop()

    def handle_data(self, data):
        for _, _, below in self.open:
            below.append(data)

    def all(self, tag, **attributes):
        return [
            (attrs, " ".join("".join(below).split()))
            for name, attrs, below in self.elements
            if name == tag and all(attrs.get(k.rstrip("_")) == v for k, v in attributes.items())
        ]


@pytest.fixture
def report(tmp_path):
    """The page of these calls, and its text."""

    def write(*calls, parsed=True):
        path = tmp_path / "report.html"
        write_html(Run("replay", STARTED, 77, calls), path, tmp_path / "kept")
        text = path.read_text(encoding="utf-8")
        return (Page(text), text) if parsed else text

    return write


@pytest.fixture
def kept(tmp_path, evidence):
    """Keeps a call's artefacts and returns its verdict."""

    def keep(call):
        return Artefacts(tmp_path / "kept", "all").keep(
            call, evidence.records, evidence.caller, evidence.ivr, evidence.exchanges, evidence.sip,
            evidence.masks, zero=evidence.zero,
        )  # fmt: skip

    return keep


def failed(name="wrong", **more):
    return CallVerdict(
        name, "fail", "no_input", "approved", {"payment_key": ["123456"]},
        (PromptHeard("ask_key", 0, "key"),), 12.0, 0.3, WRONG, file="calls/wrong.call.yaml", line=1, seed=5,
        **more,
    )  # fmt: skip


def test_verdicts_and_counts(report):
    page, _ = report(
        failed(), CallVerdict("fine", "pass", "approved"), CallVerdict("e", "error", reason="no")
    )

    assert page.all("h1") == [({}, "2 calls of 3 did not pass: ivr-sim replay")]
    assert "1 passed, 1 failed, 1 error · seed 77" in page.all("header")[0][1]
    rows = [attrs for attrs, _ in page.all("tr") if "data-call" in attrs]
    assert [(r["data-call"], r["data-verdict"]) for r in rows] == [
        ("wrong", "fail"), ("fine", "pass"), ("e", "error"),
    ]  # fmt: skip
    assert [attrs["value"] for attrs, _ in page.all("input", name="verdict")] == ["", "pass", "fail", "error"]
    assert [attrs["data-call"] for attrs, _ in page.all("article")] == ["wrong", "e"]
    assert "calls/wrong.call.yaml:9" in page.all("article")[0][1]
    assert "no" in page.all("article")[1][1]


def test_a_green_run(report):
    page, _ = report(CallVerdict("fine", "pass", "approved"))

    assert page.all("h1")[0][1] == "1 call passed: ivr-sim replay"
    assert page.all("article") == []


def test_a_run_of_nothing(report):
    page, _ = report()

    assert page.all("h1")[0][1] == "no call was planned: ivr-sim replay"


def test_a_failed_call_on_its_axis(report, kept, tmp_path):
    page, text = report(kept(failed()))

    [(axis, _)] = page.all("div", class_="axis")
    assert (float(axis["data-start"]), float(axis["data-end"])) == (-0.05, 12.0)
    [(mark, _)] = page.all("div", class_="broken")
    assert mark["style"] == f"left:{round(5.05 / 12.05 * 100, 2)}%"
    assert len(page.all("i", class_="inband")) == 7 + 16 + 1  # and the legend's
    assert len(page.all("path")) == 2
    [(image, _)] = page.all("img")
    assert image["src"].startswith("data:image/png;base64,")
    assert image["alt"] == ""
    [(audio, _)] = page.all("audio")
    assert (tmp_path / audio["src"]).is_file()
    for attrs, name in page.all("a", href=None) + [a for a in page.all("a") if "kept" in a[0]["href"]]:
        assert (tmp_path / unquote(attrs["href"])).name == name
        assert (tmp_path / unquote(attrs["href"])).is_file()
    assert [s for _, s in page.all("summary")][1:] == ["What happened", "SIP messages (3)", "HTTP requests"]
    told = [s for attrs, s in page.all("tr") if attrs.get("class") == "broken"]
    assert told == ["5.00verdictfails: prompt amount: expected 200.00, heard 2000.00"]
    assert "Time axis of wrong, 12.0 seconds; it fails at 5.00 seconds" in text


def test_the_audio_is_found_from_wherever_the_report_lies(kept, tmp_path):
    call = kept(failed("ñ #1?"))
    path = tmp_path / "a b" / "c" / "report.html"
    path.parent.mkdir(parents=True)

    write_html(Run("call", STARTED, 1, [call]), path, tmp_path / "kept")

    [(audio, _)] = Page(path.read_text()).all("audio")
    assert (path.parent / unquote(audio["src"])).resolve().is_file()
    assert not {"?", "#", " "} & set(audio["src"])


def test_passed_calls_are_lines_unless_they_were_kept(report, kept):
    page, _ = report(kept(CallVerdict("kept", "pass", "approved")), CallVerdict("light", "pass", "approved"))

    assert [attrs["data-call"] for attrs, _ in page.all("article")] == ["kept"]
    assert [text for attrs, text in page.all("a") if attrs["href"] == "#call-0"] == ["kept"]
    assert "open" not in page.all("details")[0][0]


def test_no_network_and_no_card(report, kept, evidence):
    card = evidence.card
    spaced = " ".join(card[i : i + 4] for i in range(0, 16, 4))
    call = replace(kept(failed(card)), failure=Failure(card, spaced, f"<{card}>", 1.0, f"{card}.yaml", 1))

    _, text = report(call, CallVerdict(f"p{card}", "error", reason=f"{spaced}\n{card}"))

    assert card not in re.sub(r"[\s-]", "", text)
    assert card[:15] not in text
    assert not re.search(r"(?:src|href|action|url|import)\W{1,3}(?:https?:)?//", text)
    assert not re.search(r"\bfetch|XMLHttp|WebSocket|@import", text)


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=30))
def test_any_text_stays_text(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp()
    evil = f"</script><script>alert(1)</script>\"'<b>{text}"
    call = CallVerdict(
        evil, "fail", evil, evil, {evil: [evil]}, (PromptHeard(evil, 0, evil),),
        failure=Failure(evil, evil, evil, 1.0, evil, 1), file=evil,
    )  # fmt: skip

    write_html(
        Run("replay", STARTED, 1, [call, CallVerdict("e", "error", reason=evil)]), folder / "a.html", folder
    )

    page = Page((folder / "a.html").read_text(encoding="utf-8"))
    assert len(page.all("script")) == 1
    assert page.all("b") == []
    assert not [attrs for _, attrs, _ in page.elements if any(name.startswith("on") for name in attrs)]


@pytest.mark.parametrize("every", [1, 50])
def test_a_thousand_calls_stay_small(report, kept, every):
    template = kept(failed())
    calls = [
        replace(template, name=f"call-{n:04d}", reason=None)
        if n % every == 0
        else CallVerdict(
            f"call-{n:04d}", "pass", "approved", "approved", file=f"calls/call-{n:04d}.call.yaml"
        )
        for n in range(1000)
    ]

    text = report(*calls, parsed=False)

    assert len(text.encode()) < 5_000_000
    assert text.count("<tr data-call=") == 1000
    shown, charts = text.count("<article "), text.count("<figure>")
    assert shown == 1000 // every
    if every == 1:
        assert 100 < charts < 1000
        assert f"{shown - charts} calls are shown without their charts" in text
    else:
        assert charts == shown


def test_what_has_no_room_is_said_and_in_the_table(report):
    long = "x " * 500
    calls = [
        CallVerdict(f"call-{n}", "fail", failure=Failure("s", long, long, None), file=long)
        for n in range(1000)
    ]

    text = report(*calls, parsed=False)

    assert len(text.encode()) < 5_000_000
    assert 100 < text.count("<article ") < 1000
    assert f"{1000 - text.count('<article ')} more calls are in the table only." in text
    assert text.count("<tr data-call=") == 1000


def test_files_that_are_gone_are_said(report, kept, tmp_path):
    call = kept(failed())
    for path in Path(tmp_path / "kept" / "wrong").iterdir():
        path.unlink()

    page, text = report(call)

    assert "recording.flac could not be read." in text
    assert page.all("audio") == []
    assert page.all("img") == []


def test_what_is_drawn_is_named_and_labelled(report, kept):
    page, _ = report(kept(failed()), failed("other"))

    ids = [attrs["id"] for _, attrs, _ in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs, _ in page.elements:
        assert attrs.get("aria-labelledby", ids[0]) in ids
        if attrs.get("tabindex") == "0" and attrs.get("role") == "region":
            assert attrs.get("aria-label") or attrs.get("aria-labelledby")
    assert page.all("html", lang="en")
    assert all(attrs.get("scope") for attrs, _ in page.all("th"))
    assert all("aria-label" in attrs for attrs, _ in page.all("audio"))
    levels = [int(tag[1]) for tag, *_ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
