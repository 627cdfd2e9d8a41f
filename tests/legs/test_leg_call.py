"""LegCall by itself: prompts, keys, time-outs and ends, tick by tick."""

from __future__ import annotations

import gc
import re

import pytest
from twisted.internet.defer import Deferred

from ivr_sim.call import CallerHungUp, CallTooLong, CannotSay, Stroke, phrase
from ivr_sim.errors import IvrSimError
from ivr_sim.journal import KeyPressed, KeyRefused, PromptEnded, PromptStarted
from ivr_sim.legs.collector import Key

ASK, MORE = phrase("ask_key"), phrase("welcome")


def ends(journal) -> list[tuple[str, str | None, float]]:
    """Prompts that ended: name, what cut them, when."""
    return [
        (r.event.name, r.event.cut_by, pytest.approx(r.t))
        for r in journal.records
        if isinstance(r.event, PromptEnded)
    ]


# Prompts ----------------------------------------------------------------------------------------


def test_a_prompt_is_sent_whole_and_journalled_with_its_true_times(line, journal):
    line.tick(0.5)
    line.start(line.call.say(ASK, MORE))
    line.tick(3.0)
    assert line.spoken == [0] * 25 + [1] * 50 + [0] * 12 + [2] * 50 + [0] * 38
    assert line.results == [None]
    started = [(e.name, journal.time_of(e)) for e in journal.of(PromptStarted)]
    assert started == [("ask_key", 0.5), ("welcome", pytest.approx(1.74))]
    assert ends(journal) == [("ask_key", None, 1.5), ("welcome", None, 2.74)]


def test_a_last_frame_is_filled_with_silence(line):
    line.sounds.seconds = 0.03
    line.start(line.call.say(ASK))
    assert [int(line.call.tick(None)[159]) for _ in range(2)] == [1, 0]
    assert line.call.tick(None) is None


def test_a_sound_of_no_length_and_no_phrase_at_all_hang_nothing(line):
    line.sounds.seconds = 0
    line.start(line.call.say(ASK))
    line.start(line.call.say())
    line.tick(0.02)
    assert line.results == [None, None]


def test_a_key_stops_the_prompt_in_its_tick_and_all_phrases_behind_it(line, journal):
    line.start(line.call.say(ASK, MORE))
    line.tick(0.4)
    line.down("1")
    assert ends(journal) == [("ask_key", "key", 0.4)]
    assert line.results == [None]
    line.tick(2)
    assert not any(line.spoken[20:])


def test_a_key_between_two_phrases_drops_the_second(line, journal):
    line.start(line.call.say(ASK, MORE))
    line.tick(1.1)
    line.press("1")
    assert ends(journal) == [("ask_key", None, 1.0)]
    assert line.results == [None]


def test_what_may_not_be_interrupted_is_not_and_its_keys_count_afterwards(line, journal):
    line.start(line.call.say(ASK, interruptible=False))
    line.press("12")
    line.tick(1)
    assert ends(journal) == [("ask_key", None, 1.0)]
    line.results.clear()
    line.collect(max_digits=2)
    assert line.entry == ("12", "complete")


def test_typing_ahead_passes_over_a_prompt(line):
    line.press("1")
    line.collect(ASK, max_digits=1)
    assert line.entry == ("1", "complete")
    assert line.sounds.names == []


def test_a_key_still_down_passes_over_a_prompt(line):
    line.down("1")
    line.start(line.call.say(ASK))
    assert line.results == [None]


def test_a_key_pressed_while_a_sound_is_made_passes_over_it(line, journal):
    line.sounds.held = Deferred()
    line.collect(ASK, max_digits=1)
    line.press("1")
    line.sounds.held.callback(None)
    assert line.entry == ("1", "complete")
    assert not journal.of(PromptStarted)


def test_a_phrase_without_a_sound(line):
    async def fail(_phrase: object) -> None:
        raise IvrSimError("no voice")

    line.sounds.sound = fail
    line.start(line.call.say(ASK))
    assert isinstance(line.results[0], CannotSay)


# Entries and their time-outs --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "entry"),
    [
        ("1234", ("1234", "complete")),
        ("12#", ("12", "terminator")),
        ("#", ("", "terminator")),
        ("12*34#", ("34", "terminator")),
        ("*#", ("", "terminator")),
    ],
)
def test_entries(line, keys, entry):
    line.collect(ASK)
    line.press(keys)
    assert line.entry == entry


def test_digits_beyond_the_most_are_counted_once(line):
    line.collect(max_digits=4, complete=lambda digits: False)
    line.press("1234567#")
    assert line.entry == ("12345", "terminator")


def test_the_first_digit_is_waited_for_from_the_prompts_end(line):
    line.collect(ASK)
    line.tick(1.0 + 7.98)
    assert not line.results
    line.tick(0.02)
    assert line.entry == ("", "silence")


@pytest.mark.parametrize("keys", ["1", "12", "*1"])
def test_the_next_digit_is_waited_for_from_the_last_ones_end(line, keys):
    line.collect(ASK)
    line.press(keys)
    line.tick(3.88)  # the key ended 0.1 s ago
    assert not line.results
    line.tick(0.02)
    assert line.entry == (keys[-len(keys.lstrip("*")) :], "timeout")


def test_starting_over_waits_for_a_first_digit_again(line):
    line.collect(ASK)
    line.press("12*")
    line.tick(7.88)
    assert not line.results
    line.tick(0.02)
    assert line.entry == ("", "silence")


def test_a_held_key_holds_the_time_out(line):
    line.collect(ASK)
    line.press("1")
    line.tick(3.5)
    line.down("2")
    line.tick(20)
    assert not line.results
    line.up("2", 20_000)
    line.tick(3.98)
    assert not line.results
    line.tick(0.02)
    assert line.entry == ("12", "timeout")


# The terminator out of habit --------------------------------------------------------------------


def test_a_terminator_typed_ahead_behind_a_whole_entry_is_swallowed(line):
    line.press("1234#5678")
    line.collect(ASK)
    line.collect(ASK)
    assert [e.typed.reveal() for e in line.results] == ["1234", "5678"]


def test_a_terminator_to_come_is_swallowed_and_interrupts_nothing(line, journal):
    line.collect(max_digits=1)
    line.press("1")
    line.results.clear()
    line.collect(ASK, max_digits=1)
    line.tick(0.2)
    line.press("#")
    line.tick(1)
    assert ends(journal)[-1][:2] == ("ask_key", None)
    line.press("2")
    assert line.entry == ("2", "complete")


def test_only_the_next_key_is_swallowed_and_only_once(line):
    line.collect(max_digits=1)
    line.press("1")
    line.results.clear()
    line.collect()
    line.press("2#")
    assert line.entry == ("2", "terminator")


def test_a_second_terminator_counts(line):
    line.collect(max_digits=1)
    line.press("1")
    line.results.clear()
    line.collect()
    line.press("##")
    assert line.entry == ("", "terminator")


def test_a_terminator_is_not_swallowed_behind_an_entry_that_it_ended(line):
    line.collect()
    line.press("1#")
    line.results.clear()
    line.collect()
    line.press("#")
    assert line.entry == ("", "terminator")


@pytest.mark.parametrize(("wait", "swallowed"), [(3.7, True), (3.9, False)])
def test_a_terminator_belongs_to_an_entry_as_long_as_a_digit_would_have(line, wait, swallowed):
    """Pressed later than the pause between digits, it is an entry of its own: an empty one."""
    line.collect(max_digits=1)
    line.press("1")  # whole 0.1 s ago
    line.results.clear()
    line.collect()
    line.tick(wait)
    line.press("#")
    assert bool(line.results) is not swallowed
    line.press("2#")
    assert [(e.typed.reveal(), e.ended) for e in line.results[:1]] == [
        ("2" if swallowed else "", "terminator")
    ]


def test_a_terminator_that_comes_after_the_pause_is_swallowed_too(line, journal):
    """Who looks for the key for more than four seconds has not entered nothing at the next question."""
    line.collect()
    line.press("12")
    line.tick(4)
    assert line.entry == ("12", "timeout")
    line.results.clear()
    line.collect(ASK)
    line.press("#")
    line.tick(1)
    assert ends(journal) == [("ask_key", None, pytest.approx(5.4))]
    assert not line.results


def test_a_terminator_behind_silence_counts(line):
    line.collect(first=1.0)
    line.tick(1)
    assert line.entry == ("", "silence")
    line.results.clear()
    line.collect()
    line.press("#")
    assert line.entry == ("", "terminator")


def test_a_terminator_to_be_swallowed_does_not_pass_over_a_prompt_that_is_being_made(line, journal):
    line.collect(max_digits=1)
    line.press("1")
    line.results.clear()
    line.sounds.held = Deferred()
    line.collect(ASK)
    line.down("#")
    line.sounds.held.callback(None)
    line.tick(0.1)
    line.up("#")
    line.tick(1)
    assert ends(journal) == [("ask_key", None, pytest.approx(1.2))]
    assert not line.results


# Flushing ---------------------------------------------------------------------------------------


def test_flushed_keys_are_gone_and_the_line_is_deaf_until_the_next_prompt(line, journal):
    line.press("12")
    line.call.flush()
    line.press("34")
    line.collect(ASK)
    line.tick(0.1)
    assert [e.name for e in journal.of(PromptStarted)] == ["ask_key"]
    line.press("5678")
    assert line.entry == ("5678", "complete")


def test_a_key_that_went_down_before_the_prompt_does_not_count_after_it(line, journal):
    line.call.flush()
    line.tick(0.02)
    line.down("1")
    line.tick(0.06)
    line.collect(ASK, max_digits=1)
    line.tick(0.04)
    line.up("1")
    assert not line.results
    line.press("2")
    assert line.entry == ("2", "complete")
    assert ends(journal)[0][1] == "key"


def test_a_late_onset_from_before_the_prompt_does_not_cut_it(line, journal):
    """The detector is sure of a key up to 51 ms after it went down: the prompt had not begun then."""
    line.tick(1)
    line.call.flush()
    line.collect(ASK, max_digits=1)
    line.tick(0.02)
    line.call.key_down("1", "inband", 0.99)
    line.tick(0.1)
    line.call.key_up("1", "inband", 0.99, 100, -10.0)
    assert not line.results
    assert not journal.of(PromptEnded)


def test_a_run_of_keys_is_forgotten_to_its_end_and_cuts_nothing(line, journal):
    line.press("12")
    line.call.flush(pause=1.0)
    line.collect(ASK)
    line.press("34")  # 0.1 s apart
    line.down("5")
    line.tick(0.1)
    line.up("5")
    line.tick(0.98)
    line.press("6")  # 0.98 s behind
    line.tick(1)
    assert ends(journal) == [("ask_key", None, pytest.approx(1.4))]
    line.press("7#")
    assert line.entry == ("7", "terminator")


def test_without_a_pause_a_run_counts_from_the_prompt_on(line, journal):
    line.press("12")
    line.call.flush()
    line.collect(ASK)
    line.press("34#")
    assert line.entry == ("34", "terminator")


def test_a_key_held_over_the_prompts_start_belongs_to_the_run(line, journal):
    line.call.flush(pause=1.0)
    line.down("1")
    line.tick(0.06)
    line.collect(ASK)
    line.tick(0.5)
    line.up("1", 560)
    line.press("2")
    assert not ends(journal)
    line.tick(1)
    line.press("3#")
    assert line.entry == ("3", "terminator")


def test_an_entry_without_a_prompt_listens_at_once(line):
    line.call.flush()
    line.collect(max_digits=1)
    line.press("1")
    assert line.entry == ("1", "complete")


def test_while_a_sound_is_made_the_line_is_still_deaf(line):
    line.call.flush()
    line.sounds.held = Deferred()
    line.collect(ASK, max_digits=1)
    line.press("1")
    line.sounds.held.callback(None)
    assert not line.results
    line.press("2")
    assert line.entry == ("2", "complete")


# Keys that other people's telephones have -------------------------------------------------------


def test_two_ways_of_keying_do_not_disturb_each_other(line):
    line.collect(max_digits=2)
    line.down("1", "rfc4733")
    line.down("1", "inband")
    line.tick(0.1)
    line.up("1", method="rfc4733")
    line.up("2", method="inband")
    assert line.entry == ("12", "complete")


def test_an_up_without_a_down_is_a_key(line):
    line.collect(max_digits=1)
    line.tick(0.1)
    line.up("1", method="info")
    assert line.entry == ("1", "complete")
    assert len(line.call.key_spans()[0]) == 1


# Secrets ----------------------------------------------------------------------------------------


def test_keys_are_secret_until_their_entry_is_published(line):
    line.collect()
    line.press("98*12#")
    line.collect()
    line.press("3")
    assert [len(spans) for spans in line.call.key_spans()] == [7, 0]
    assert line.results[0].publish() == "12"
    secret, published = line.call.key_spans()
    # "98*" and "3" stay secret; "12#" does not.
    assert [round(start, 2) for start, _ in secret] == [0.0, 0.2, 0.4, 1.2]
    assert published == [(pytest.approx(s), pytest.approx(s + 0.1)) for s in (0.6, 0.8, 1.0)]


def test_a_key_that_is_still_down_is_secret_until_now(line):
    line.tick(1)
    line.down("1")
    line.tick(0.5)
    assert line.call.key_spans() == ([(1.0, 1.5)], [])


def test_nothing_of_a_call_shows_its_digits(line):
    line.collect()
    line.press("98")
    for thing in (line.call, *vars(line.call).values()):
        shown = re.sub("0x[0-9a-f]+", "", repr(thing))  # but addresses
        assert "98" not in shown
        assert "'9'" not in shown


def test_levels_do_not_tell_keys_apart(line, journal):
    """A line that damps high tones makes of ten keys ten levels, within 3 dB of each other."""
    levels = [-12.0, -12.1, -12.3, -12.7, -14.4, -9.6, -12.2]
    for level in levels:
        line.down("1")
        line.up("1", level=level)
    assert [e.level_dbm0 for e in journal.of(KeyPressed)] == [-12] * len(levels)
    line.up("1", level=-20.2)
    line.up("1", level=-19.0)
    assert [e.level_dbm0 for e in journal.of(KeyPressed)][-2:] == [-20, -20]


def test_onsets_and_lengths_of_tones_do_not_tell_keys_apart(line, journal):
    """The receiver measures each key's tones a little off in its own way; telephone-events are as sent."""
    for n, (start, ms) in enumerate([(0.9996, 99), (2.0004, 101), (2.998, 100), (4.003, 104)]):
        line.call.key_up(str(n), "inband", start, ms, -12.0)
    line.call.key_up("5", "rfc4733", 5.0125, 93, None)
    told = [(e.start, e.duration_ms) for e in journal.of(KeyPressed)]
    assert told == [(1.0, 100), (2.0, 100), (3.0, 100), (4.0, 100), (pytest.approx(5.0125, abs=5e-4), 93)]


@pytest.mark.parametrize("by", ["caller", "ivr"])
def test_what_was_typed_ahead_does_not_outlive_the_call(line, by):
    for n, digit in enumerate("4111"):
        line.call.key_up(digit, "rfc4733", 77_001.5 + n, 100, None)

    def kept() -> list[Key]:
        return [k for k in gc.get_objects() if isinstance(k, Key) and k.press.start > 77_000]

    assert len(kept()) == 4
    if by == "caller":
        line.call.hung_up()
    else:
        line.start(line.call.hang_up())
        line.tick(1)
    assert line.call.gone == by
    assert kept() == []


def test_an_entry_is_held_by_who_asked_for_it_alone(line):
    line.collect(ASK, max_digits=3)
    line.tick(1.1)
    line.press("987")
    [entry] = line.results
    typed = entry.typed
    line.results.clear()
    del entry
    assert gc.get_referrers(typed) == []


# Ends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.2, 1.1, 5.0], ids=["in a prompt", "between prompts", "in the entry"])
def test_a_hang_up_ends_what_is_awaited(line, journal, seconds):
    line.collect(ASK, MORE)
    line.tick(seconds)
    line.call.hung_up()
    line.call.hung_up()
    assert [type(r) for r in line.results] == [CallerHungUp]
    assert line.call.gone == "caller"
    assert [cut for _, cut, _ in ends(journal)].count("hangup") == (seconds == 0.2)


def test_a_hang_up_while_a_sound_is_made_says_nothing(line, journal):
    line.sounds.held = Deferred()
    line.start(line.call.say(ASK))
    line.call.hung_up()
    assert not line.results
    line.sounds.held.callback(None)
    assert isinstance(line.results[0], CallerHungUp)
    assert not journal.records


def test_after_a_hang_up_everything_says_so_and_nothing_waits(line):
    line.call.hung_up()
    line.start(line.call.say(ASK))
    line.collect()
    line.collect(ASK)
    assert [type(r) for r in line.results] == [CallerHungUp] * 3
    line.start(line.call.hang_up())
    assert line.results[-1] is None
    assert not line.call.waiting
    assert line.call.gone == "caller"


def test_our_own_end_of_the_line_is_not_the_callers(line):
    line.collect()
    line.call.hung_up("ivr")
    assert isinstance(line.results[0], CallerHungUp)
    assert line.call.gone == "ivr"


def test_we_hang_up_when_the_last_word_is_heard_and_once(line):
    told = []
    line.call.on_hang_up = lambda: told.append(line.call.now)
    line.start(line.call.hang_up())
    line.tick(0.28)
    assert not told
    line.press("1")
    line.start(line.call.hang_up())
    line.tick(1)
    assert told == [0.3]
    assert line.call.gone == "ivr"


def test_a_caller_may_be_faster_than_our_hang_up(line):
    line.call.on_hang_up = lambda: pytest.fail("there is nobody to hang up on")
    line.start(line.call.hang_up())
    line.call.hung_up()
    assert line.results == [None]
    assert line.call.gone == "caller"


# The longest call -------------------------------------------------------------------------------


def test_ten_minutes_by_default(line):
    line.collect(first=1000.0)
    line.tick(599.98)
    assert not line.results
    line.tick(0.02)
    assert isinstance(line.results[0], CallTooLong)


def test_the_limit_is_told_once(short_line, journal):
    short_line.tick(9.5)
    short_line.start(short_line.call.say(ASK))
    short_line.tick(1)
    assert isinstance(short_line.results[0], CallTooLong)
    assert ends(journal) == [("ask_key", "limit", 10.0)]
    short_line.start(short_line.call.say(MORE))
    short_line.tick(1)
    assert short_line.results[1] is None


@pytest.mark.parametrize("begin", [9.5, 11.0])
def test_the_limit_does_not_cut_what_may_not_be_interrupted(short_line, journal, begin):
    """A result is said whole, however long the charge took; then comes the limit."""
    short_line.tick(begin)
    short_line.start(short_line.call.say(ASK, interruptible=False))
    short_line.tick(1)
    assert short_line.results == [None]
    short_line.collect(MORE)
    short_line.tick(0.02)
    assert isinstance(short_line.results[1], CallTooLong)
    assert [(name, cut) for name, cut, _ in ends(journal)] == [("ask_key", None), ("welcome", "limit")]


def test_the_limit_leaves_our_hang_up_alone(short_line):
    short_line.tick(9.9)
    short_line.start(short_line.call.hang_up())
    short_line.tick(0.3)
    assert short_line.results == [None]
    assert short_line.call.gone == "ivr"


# Virtual time -----------------------------------------------------------------------------------


def test_waiting_is_for_the_caller_only(line):
    states = []
    line.sounds.held = Deferred()
    line.collect(ASK)
    states.append(line.call.waiting)
    told = line.call.when_waiting()
    states.append(told.called)
    line.sounds.held.callback(None)
    states += [told.called, line.call.waiting]
    assert states == [False, False, True, True]


@pytest.mark.parametrize("end", ["caller", "ivr"])
def test_who_waits_for_the_dialogue_is_told_of_the_end(line, end):
    told = line.call.when_waiting()
    if end == "caller":
        line.call.hung_up()
    else:
        line.start(line.call.hang_up())
        line.tick(1)
    assert told.called
    assert line.call.when_waiting().called


def test_before_the_answer_a_call_has_no_time(journal):
    from ivr_sim.legs import LegCall

    call = LegCall(journal, "x", None)
    call.journal.emit(PromptStarted(name="x", params={}))
    call.answered()
    call.journal.emit(PromptStarted(name="x", params={}))
    assert [r.t for r in journal.records] == [None, 0.0]


# Tones that were not taken for keys, and how keys were pressed ---------------------------------------


def test_a_refused_tone_is_written_down_no_more_exactly_than_a_key(line, journal):
    """Exact levels and twists would tell which key it was."""
    line.tick(1)
    line.call.key_refused("inband", 0.7123, 22, "too_short", -10.9, 1.2)
    line.call.key_refused("inband", 0.9, 118, "twist", -12.4, 9.7)
    assert journal.of(KeyRefused) == [
        KeyRefused(
            method="inband", start=0.71, duration_ms=20, reason="too_short", level_dbm0=-12, twist_db=0
        ),
        KeyRefused(method="inband", start=0.9, duration_ms=120, reason="twist", level_dbm0=-12, twist_db=9),
    ]


def test_a_refused_tone_interrupts_nothing(line):
    line.collect(phrase("ask_key"))
    line.tick(0.5)
    line.call.key_refused("inband", 0.3, 22, "too_short", -10.0, 0.0)
    line.tick(0.1)
    assert line.spoken[-1] == 1
    assert line.results == []


def test_an_entry_knows_how_its_keys_were_pressed(line):
    line.collect(max_digits=9)
    line.press("9*1")
    line.call.key_down("2", "rfc4733", line.call.now)
    line.call.key_up("2", "rfc4733", line.call.now, 160, -7.0)
    line.call.key_down("#", "inband", line.call.now)
    line.call.key_up("#", "inband", line.call.now, 80, -9.5, 1.5)
    [entry] = line.results
    assert entry.strokes == (
        Stroke("inband", 100, -10.0, None),
        Stroke("rfc4733", 160, -7.0, None),
        Stroke("inband", 80, -9.5, 1.5),
    )
    assert "-9.5" not in repr(entry)
