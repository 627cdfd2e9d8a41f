"""RecordingLeg: tapes of real key tones, in virtual time."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from twisted.internet.defer import Deferred

import dtmf
from ivr_sim.call import CallerHungUp, CallTooLong, phrase
from ivr_sim.journal import CallAnswered, KeyPressed, PromptEnded
from ivr_sim.legs import Anchor, CallerTape, Piece, Playback, RecordingLeg
from ivr_sim.legs.playback import Down, Up

ASK = phrase("ask_key")


def tape(digits: str, *, lead_ms: float = 300, tail_ms: float = 2000, level: float = -10.0) -> np.ndarray:
    sound = dtmf.generate(digits, tone_ms=80, gap_ms=70, lead_ms=lead_ms, tail_ms=tail_ms, level_dbm0=level)
    return np.round(sound * 32767).astype(np.int16)


def play(line, samples: np.ndarray) -> Deferred[None]:
    return Deferred.fromCoroutine(RecordingLeg(line.call, Playback(CallerTape(samples))).run())


def test_a_tape_of_real_tones_is_typed(line, journal):
    line.collect(ASK, max_digits=12, complete=lambda digits: False)
    play(line, tape("4070913#"))
    assert line.entry == ("4070913", "terminator")
    assert journal.of(CallAnswered) == [CallAnswered(codec="L16", key_methods=("inband",))]
    keys = journal.of(KeyPressed)
    assert [k.start for k in keys] == [pytest.approx(0.3 + n * 0.15, abs=0.005) for n in range(8)]
    assert {k.duration_ms for k in keys} <= set(range(75, 86))
    assert {k.level_dbm0 for k in keys} == {-10}


@pytest.mark.parametrize("lead_ms", [400, 403.5, 407, 411.5, 415, 419])
def test_a_tone_stops_the_prompt_within_60_ms_of_its_onset(line, journal, lead_ms):
    line.collect(ASK, max_digits=1)
    play(line, tape("5", lead_ms=lead_ms))
    [cut] = journal.of(PromptEnded)
    assert cut.cut_by == "key"
    assert 0 < journal.time_of(cut) - lead_ms / 1000 <= 0.06


def test_when_the_tape_has_run_out_the_caller_has_hung_up(line):
    line.collect(ASK)
    assert play(line, tape("12", tail_ms=500)).called
    assert isinstance(line.results[0], CallerHungUp)
    assert line.call.gone == "caller"
    assert line.call.now == pytest.approx(0.3 + 0.23 + 0.5, abs=0.02)


@pytest.mark.parametrize("length", [0, 1, 159, 160, 161])
def test_tapes_of_any_length(line, length):
    line.collect(ASK)
    assert play(line, np.zeros(length, np.int16)).called
    assert line.call.now == -(-length // 160) / 50


def test_our_hang_up_ends_the_tape(line):
    line.start(line.call.hang_up())
    assert play(line, tape("1", tail_ms=60_000)).called
    assert line.call.gone == "ivr"
    assert line.call.now == pytest.approx(0.3)


def test_time_stands_still_while_the_dialogue_awaits_something_else(line, journal):
    """An authorizer's answer takes no time of the tape: no key and no time-out passes meanwhile."""
    answer: Deferred[None] = Deferred()

    async def talk() -> list[str]:
        key = await line.call.collect(ASK, max_digits=2, first_digit_timeout=8, digit_timeout=4)
        await answer
        choice = await line.call.collect(max_digits=1, first_digit_timeout=8, digit_timeout=4)
        await line.call.hang_up()
        return [key.typed.reveal(), choice.typed.reveal()]

    line.start(talk())
    done = play(line, tape("421"))
    stood = line.call.now
    assert not done.called
    assert len(journal.of(KeyPressed)) == 2
    assert line.call.now == stood < 0.65
    answer.callback(None)
    assert done.called
    assert line.results == [["42", "1"]]


def test_time_stands_still_while_a_prompt_is_made(line):
    line.sounds.held = Deferred()
    line.collect(ASK, max_digits=1)
    done = play(line, tape("7"))
    assert (line.call.now, done.called) == (0, False)
    line.sounds.held.callback(None)
    assert line.entry == ("7", "complete")


def test_a_tape_is_played_the_same_each_time(journal, line):
    records = []
    for _ in range(2):
        journal.records.clear()
        again = type(line)(journal)
        again.collect(ASK, max_digits=4)
        play(again, tape("1470"))
        records.append([(r.t, r.event) for r in journal.records])
    assert records[0] == records[1]


@pytest.mark.parametrize("samples", [np.zeros((10, 2), np.int16), np.zeros(10, np.float32)])
def test_other_shapes_and_types_are_refused(samples):
    with pytest.raises(ValueError, match="int16"):
        CallerTape(samples)


def _talks(call: Any) -> Any:
    """A conversation that meets every way in which a wait can end."""

    async def talk() -> str:
        heard = []
        try:
            await call.say(ASK, phrase("welcome"), interruptible=False)
            for turn in range(4):
                call.flush(pause=0.3 * turn)
                entry = await call.collect(
                    ASK, phrase("ask_accept"), max_digits=4, first_digit_timeout=1.5, digit_timeout=0.7
                )
                heard.append(f"{entry.typed.reveal()} {entry.ended}")
            await call.say(phrase("goodbye"), interruptible=False)
        except (CallerHungUp, CallTooLong) as over:
            heard.append(type(over).__name__)
        await call.hang_up()
        return " ".join(heard)

    return talk()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("limit", [600.0, 6.0])
def test_leaping_comes_to_the_same_as_ticking(line, journal, seed, limit):
    """The same journal to the tick, and the same sound both ways, as when each tick is taken singly."""
    chance = random.Random(seed)
    keys = [
        dtmf.generate(
            chance.choice("0123456789*#"),
            tone_ms=chance.choice([30, 50, 90, 400]),
            gap_ms=0,
            lead_ms=chance.choice([45, 90, 300, 900, 2600]),
            tail_ms=chance.randrange(40),
        )
        for _ in range(14)
    ]
    samples = np.round(np.concatenate(keys) * 32767).astype(np.int16)
    came = []
    for leaping in (True, False):
        journal.records.clear()
        again = type(line)(journal, limit)
        again.sounds.seconds = 0.5 + 0.013 * (seed % 3)
        again.start(_talks(again.call))
        leg = RecordingLeg(again.call, Playback(CallerTape(samples)), leaping=leaping)
        assert Deferred.fromCoroutine(leg.run()).called
        records = [(r.t, r.event) for r in journal.records]
        came.append((records, again.results, again.call.now, leg.heard.tolist(), leg.spoken.tolist()))
    assert came[0] == came[1]
    assert len(came[0][3]) == len(came[0][4]) == round(came[0][2] * 8000)
    assert any(came[0][4])


def test_what_is_told_of_a_recording_is_told_when_a_line_would_know_it(line, journal):
    samples = tape("147*0#", lead_ms=333)
    told = [(one.tick, one.event) for one in CallerTape(samples).told]
    receiver = dtmf.Receiver(keys=dtmf.KEYS_12, refusals=True)
    live = []
    for tick in range(len(samples) // 160):
        for event in receiver.feed(samples[tick * 160 : tick * 160 + 160]):
            if isinstance(event, dtmf.KeyDown):
                live.append((tick, Down(event.digit, event.start_s)))
            else:
                live.append((tick, Up(**{f: getattr(event.tone, f) for f in Up.__slots__})))
    assert told == live
    assert len(told) == 12


class TestPieces:
    """A recording whose pieces wait for prompts."""

    SAMPLES = np.concatenate([tape("1", lead_ms=200, tail_ms=200), tape("2", lead_ms=200, tail_ms=300)])

    @pytest.fixture
    def playback(self):
        """The second key 10 ticks after the end of the prompt ``b``, then to the end."""
        recording = CallerTape(self.SAMPLES)
        pieces = [
            Piece(0, 24, 20),
            Piece(24, 40, 40, 4, Anchor(1, 10, True)),
            Piece(40, recording.ticks, 40, recording.ticks - 40),
        ]
        return Playback(recording, pieces, ["a", "b"])

    def follow(self, playback, prompts: dict[int, tuple[str, str]]) -> list[tuple[int, str, float]]:
        """Ticks through a call in which prompts begin and end; what is told of keys."""
        told = []
        for tick in range(500):
            if playback.ended:
                return [*told, (tick, "end", 0.0)]
            for what, name in [prompts[tick]] if tick in prompts else []:
                playback.begun(name) if what == "begins" else playback.over()
            told += [
                (tick, event.digit, round(event.start_s, 2))
                for event in playback.told()
                if isinstance(event, Down)
            ]
            playback.leap(1)
        return told

    def test_a_piece_begins_when_its_prompt_is_over(self, playback):
        told = self.follow(playback, {30: ("begins", "b"), 80: ("ends", "b")})
        (first, one, _), (second, two, start), (end, _, _) = told
        assert (one, two) == ("1", "2")
        assert first < 20
        assert second - 90 == CallerTape(self.SAMPLES).told[2].tick - 24
        assert start == pytest.approx(second / 50, abs=0.06)
        assert end == 90 + playback._tape.ticks - 24

    def test_what_is_heard_is_where_it_is_told(self, playback):
        told = self.follow(playback, {30: ("begins", "b"), 80: ("ends", "b")})
        tones = dtmf.decode(playback.sound(), 8000)
        assert [(tone.digit, round(tone.start_s, 2)) for tone in tones] == [t[1:] for t in told[:2]]

    def test_a_piece_is_not_cut_within_a_key(self, playback):
        """The prompt is over before the first key has sounded: the second comes behind it."""
        told = self.follow(playback, {1: ("begins", "b"), 2: ("ends", "b")})
        assert [t[1] for t in told] == ["1", "2", "end"]
        tones = dtmf.decode(playback.sound(), 8000)
        assert [tone.digit for tone in tones] == ["1", "2"]

    def test_a_prompt_that_was_left_out_is_not_waited_for(self):
        recording = CallerTape(self.SAMPLES)
        pieces = [Piece(0, 24, 20), Piece(24, recording.ticks, recording.ticks, 0, Anchor(0, 10, False))]
        playback = Playback(recording, pieces, ["a", "b"])
        told = self.follow(playback, {100: ("begins", "b")})
        assert told[1][0] >= 100
        assert told[-1] == (100 + recording.ticks - 24, "end", 0.0)

    def test_without_its_prompt_a_piece_never_comes(self, playback):
        assert [t[1] for t in self.follow(playback, {})] == ["1"]
        assert playback.frame() is None

    def test_still_is_when_nothing_is_told(self, playback):
        """Leaping by ``still`` meets all that ticking meets."""
        recording = playback._tape
        again = Playback(recording, playback._pieces, ["a", "b"])
        told = self.follow(again, {0: ("begins", "b"), 60: ("ends", "b")})
        playback.begun("b")
        met, tick = [], 0
        while not playback.ended:
            met += [(tick, e.digit) for e in playback.told() if isinstance(e, Down)]
            ticks = playback.still
            if tick < 60 <= tick + ticks:
                ticks = 60 - tick
            playback.leap(ticks)
            tick += ticks
            if tick == 60:
                playback.over()
        assert [*met, (tick, "end")] == [t[:2] for t in told]
