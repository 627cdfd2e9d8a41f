"""A call on its time axis: where things lie, what they are called, and what is drawn of its sound."""

import base64
import io
import itertools
import json
import re

import numpy as np
import pytest
from PIL import Image

from ivr_sim.reports import keep_call
from ivr_sim.reports.chart import WAVE, Chart, read_chart
from ivr_sim.reports.ladder import ladder, read_ladder


@pytest.fixture
def folder(tmp_path, evidence):
    keep_call(
        tmp_path, evidence.records, evidence.caller, evidence.ivr, evidence.exchanges, evidence.sip,
        evidence.masks, zero=evidence.zero,
    )  # fmt: skip
    return tmp_path


def lanes(chart: Chart):
    return {lane.name: [span for level in lane.levels for span in level] for lane in chart.lanes}


def test_everything_lies_at_its_second(folder):
    chart = read_chart(folder)

    assert (chart.start, chart.end) == (-0.05, 12.0)
    found = lanes(chart)

    def seconds(span):
        return tuple(round(x / 100 * 12.05, 2) for x in (span.left, span.width))

    ask, amount = found["prompts"]
    assert [(s.name, s.cut) for s in (ask, amount)] == [("ask_key", True), ("amount", False)]
    assert seconds(ask) == pytest.approx((0.05, 2.02), abs=0.02)
    assert seconds(amount) == pytest.approx((5.05, 0.9), abs=0.02)
    [request] = found["HTTP"]
    assert (request.name, request.kind) == ("authorizer: ok, 1900 ms", "authorizer")
    assert seconds(request) == pytest.approx((3.15, 1.9), abs=0.02)
    assert [seconds(key) for key in found["keys"][:7]] == [
        pytest.approx((2.05 + 0.14 * n, 0.07), abs=0.02) for n in range(7)
    ]
    assert [(s.name, s.kind) for s in found["entries"]] == [
        ("payment_key: 123456", "entry"),
        ("card_number: luhn", "refused"),
    ]
    [sip] = found["SIP"]
    assert (sip.name, sip.left) == ("INVITE and 2 more", 0.0)
    assert chart.sound == (chart.at(0.0), pytest.approx(100 - chart.at(0.0)))


def test_never_which_key(folder, evidence):
    chart = read_chart(folder)

    assert {span.name for span in lanes(chart)["keys"]} == {""}
    assert len(lanes(chart)["keys"]) == 7 + 16
    assert ("caller", "16 keys by in-band tones") in [(row.who, row.what) for row in chart.rows]
    shown = repr(chart)
    assert evidence.card not in shown


def test_names_do_not_reach_into_one_another(folder):
    for lane in read_chart(folder).lanes:
        for level in lane.levels:
            for span, following in itertools.pairwise(level):
                assert not span.name or span.begin + span.room <= following.left + 0.01


def test_what_happened_in_words(folder):
    chart = read_chart(folder)

    assert [tuple(row) for row in chart.rows if row.who != "caller"] == [
        (0.0, "IVR", "answers: PCMU", ""),
        (0.0, "IVR", "says ask_key", "prompt"),
        (3.0, "IVR", "takes payment_key: 123456", "entry"),
        (5.0, "authorizer", "replies: HTTP 200, ok, 1900 ms", "authorizer"),
        (5.0, "IVR", "says amount (amount 200.00, currency MXN)", "prompt"),
        (8.3, "IVR", "refuses card_number: luhn", "refused"),
        (12.0, "IVR", "ends the call: no_input (card_number)", ""),
    ]
    assert [rung.label for rung in chart.rungs] == ["INVITE", "100 Trying (INVITE)", "200 OK (INVITE)"]
    assert "HTTP 200 in 1900 ms" in chart.http


def test_the_spectrogram_shows_tones_at_their_time_and_height(folder):
    chart = read_chart(folder)

    png = base64.b64decode(chart.spectrogram.removeprefix("data:image/png;base64,"))
    bright = np.asarray(Image.open(io.BytesIO(png)).convert("L"), int)
    assert bright.shape == (64, chart.columns)
    per_second = chart.columns / 12

    def loudest(second):
        return 4000 * (64 - bright[:, round(second * per_second)].argmax()) / 64

    assert bright[:, round(1 * per_second)].max() < 40
    assert 600 < loudest(2.1) < 1600  # a published key
    assert 350 < loudest(7) < 450  # the mask over a secret one
    assert bright[20:, round(7 * per_second)][:30].max() < 60  # and no tone of a key beside it


def test_a_waveform_is_an_outline(folder):
    chart = read_chart(folder)

    places = []
    x = y = 0
    for sign, numbers in re.findall(r"([MlhVz])([-0-9 ]*)", chart.caller):
        values = [int(n) for n in re.findall(r"-?\d+", numbers)]
        match sign:
            case "M":
                x, y = values
            case "l":
                x, y = x + values[0], y + values[1]
            case "h":
                x += values[0]
            case "V":
                [y] = values
        places.append((x, y))
    assert max(x for x, _ in places) == chart.columns - 1
    assert places[-1][0] == 0
    assert all(0 <= y <= WAVE + 1 for _, y in places)
    loud = [x / chart.columns * 12 for x, y in places if abs(y - WAVE / 2) > 2]
    assert 1.8 < min(loud) < 2.2
    assert 8.1 < max(loud) < 8.7


def test_a_folder_of_which_nothing_is_left(tmp_path):
    chart = read_chart(tmp_path)

    assert chart.missing == ["journal.jsonl", "recording.flac", "ladder.txt", "http.txt"]
    assert (chart.rows, chart.rungs, chart.http, chart.spectrogram) == ([], [], "", "")


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '{"event": "PromptStarted"}', '{"event": "KeyPressed", "start": null}']
)
def test_a_broken_journal_costs_only_itself(folder, line):
    (folder / "journal.jsonl").write_text(line + "\n")

    chart = read_chart(folder)

    assert chart.missing == ["journal.jsonl"]
    assert chart.rows == []
    assert chart.spectrogram


@pytest.mark.parametrize("data", [b"", b"fLaC", b"no sound at all" * 100])
def test_a_broken_recording_costs_only_itself(folder, data):
    (folder / "recording.flac").write_bytes(data)

    chart = read_chart(folder)

    assert chart.missing == ["recording.flac"]
    assert chart.rows
    assert chart.sound is None


def test_a_very_long_exchange_is_cut(folder):
    (folder / "http.txt").write_text("x" * 100_000)

    assert len(read_chart(folder).http) < 6100


def test_a_ladder_is_read_as_it_was_written(evidence):
    line = ("127.0.0.1", 40000)
    invite = evidence.sip[0]
    relayed = type(invite)(**{**vars(invite), "peer": line, "received": False, "at": 99.97})
    answered = type(invite)(
        **{**vars(evidence.sip[2]), "peer": line, "received": True, "at": 99.99, "text": "other"}
    )
    messages = [invite, relayed, answered, evidence.sip[2]]

    rungs = read_ladder(ladder(messages, zero=100.0, zero_is="the answer", hub="switch"))

    assert [tuple(rung) for rung in rungs] == [
        (-0.05, "phone", "switch", "INVITE"),
        (-0.03, "switch", "line", "INVITE"),
        (-0.01, "line", "switch", "200 OK (INVITE)"),
        (0.0, "switch", "phone", "200 OK (INVITE)"),
    ]
    assert read_ladder(ladder([], zero=0, zero_is="")) == []


def test_a_long_call_is_drawn_small(tmp_path, evidence):
    seconds = 600
    noise = np.random.default_rng(1).integers(-8000, 8000, seconds * 8000).astype(np.int16)
    keep_call(tmp_path, evidence.records, noise, noise, (), (), ((), ()))

    chart = read_chart(tmp_path)

    assert chart.end == seconds
    assert len(chart.spectrogram) + len(chart.caller) + len(chart.ivr) < 120_000
    assert len(json.dumps(chart.ticks)) < 1000
