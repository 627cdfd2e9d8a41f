"""The parent's side of the voice, against a child that does only what the test says, on virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.prompts import speaker, voice
from ivr_sim.prompts.voice import PicoVoice, VoiceFailed, VoiceMissing

SOUND = np.arange(-160, 160, dtype=np.int16)


def reply(status: bytes = b"S", body: bytes = SOUND.astype("<i2").tobytes()) -> bytes:
    return speaker.HEADER.pack(status, len(body)) + body


def asked(process: Any) -> list[str]:
    return [json.loads(line)["text"] for line in process.written.splitlines()]


@pytest.fixture
def pico(processes: Any) -> PicoVoice:
    return PicoVoice(processes, command=["speaker"])


def test_a_text_becomes_a_sound(pico: PicoVoice, processes: Any, begin: Callable[..., Any]) -> None:
    assert processes.processes == []  # nothing starts before it is needed
    outcome = begin(pico.render("Hola, señor."))
    (process,) = processes.processes
    assert process.command == ["speaker"]
    assert json.loads(process.written) == {"text": "Hola, señor.", "voice": "es-ES"}
    assert process.written.endswith(b"\n")
    process.protocol.outReceived(reply())
    np.testing.assert_array_equal(outcome.value, SOUND)
    assert outcome.value.dtype == np.int16
    assert not outcome.value.flags.writeable
    assert processes.getDelayedCalls() == []


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_replies_come_in_pieces(
    pico: PicoVoice, processes: Any, begin: Callable[..., Any], size: int
) -> None:
    outcome = begin(pico.render("Uno."))
    data = reply()
    for start in range(0, len(data), size):
        assert outcome.pending
        processes.processes[0].protocol.outReceived(data[start : start + size])
    np.testing.assert_array_equal(outcome.value, SOUND)


def test_one_text_at_a_time_in_order(pico: PicoVoice, processes: Any, begin: Callable[..., Any]) -> None:
    outcomes = [begin(pico.render(text)) for text in ("Uno.", "Dos.", "Tres.")]
    (process,) = processes.processes
    for done in range(3):
        assert asked(process) == ["Uno.", "Dos.", "Tres."][: done + 1]
        assert [outcome.pending for outcome in outcomes] == [i >= done for i in range(3)]
        process.protocol.outReceived(reply(body=bytes([done, 0])))
    assert [int(outcome.value[0]) for outcome in outcomes] == [0, 1, 2]


def test_a_refused_text_fails_and_the_next_is_said(
    pico: PicoVoice, processes: Any, begin: Callable[..., Any]
) -> None:
    first, second = begin(pico.render("...")), begin(pico.render("Dos."))
    (process,) = processes.processes
    process.protocol.outReceived(reply(b"E", "ValueError: ñ".encode()) + reply())
    assert isinstance(first.error, VoiceFailed)
    assert "ValueError: ñ" in str(first.error)
    np.testing.assert_array_equal(second.value, SOUND)
    assert not process.killed


@pytest.mark.parametrize("body", [b"", b"abc"])
def test_an_odd_sound_is_a_failure(
    pico: PicoVoice, processes: Any, begin: Callable[..., Any], body: bytes
) -> None:
    outcome = begin(pico.render("Uno."))
    processes.processes[0].protocol.outReceived(reply(body=body))
    assert isinstance(outcome.error, VoiceFailed)


def test_a_silent_child_is_replaced_after_ten_seconds(
    pico: PicoVoice, processes: Any, begin: Callable[..., Any]
) -> None:
    first, second = begin(pico.render("Uno.")), begin(pico.render("Dos."))
    processes.advance(9.9)
    assert first.pending
    processes.advance(0.2)
    assert isinstance(first.error, VoiceFailed)
    assert "10 s" in str(first.error)
    old, new = processes.processes
    assert old.killed
    assert asked(new) == ["Dos."]
    old.protocol.outReceived(reply(body=b"\x01\x00"))  # too late
    old.exit()
    assert second.pending
    new.protocol.outReceived(reply())
    np.testing.assert_array_equal(second.value, SOUND)


def test_time_in_the_queue_does_not_count(pico: PicoVoice, processes: Any, begin: Callable[..., Any]) -> None:
    outcomes = [begin(pico.render(text)) for text in ("Uno.", "Dos.", "Tres.")]
    for outcome in outcomes:
        processes.advance(9)
        processes.processes[0].protocol.outReceived(reply())
        assert outcome.value is not None


def test_a_child_that_dies_is_replaced_and_asked_again(
    pico: PicoVoice, processes: Any, begin: Callable[..., Any]
) -> None:
    outcome = begin(pico.render("Uno."))
    processes.processes[0].protocol.outReceived(reply()[:20])
    processes.processes[0].exit()
    assert outcome.pending
    assert asked(processes.processes[1]) == ["Uno."]
    processes.processes[1].protocol.outReceived(reply())
    np.testing.assert_array_equal(outcome.value, SOUND)


def test_a_text_that_kills_twice_fails_alone(
    pico: PicoVoice, processes: Any, begin: Callable[..., Any]
) -> None:
    first, second = begin(pico.render("Uno.")), begin(pico.render("Dos."))
    processes.processes[0].exit()
    processes.processes[1].exit()
    assert isinstance(first.error, VoiceFailed)
    processes.processes[2].protocol.outReceived(reply())
    np.testing.assert_array_equal(second.value, SOUND)
    assert processes.getDelayedCalls() == []


def test_a_child_that_dies_idle_is_replaced_when_needed(
    pico: PicoVoice, processes: Any, begin: Callable[..., Any]
) -> None:
    begin(pico.render("Uno."))
    processes.processes[0].protocol.outReceived(reply())
    processes.processes[0].exit()
    assert len(processes.processes) == 1
    begin(pico.render("Dos."))
    assert asked(processes.processes[1]) == ["Dos."]


@pytest.mark.parametrize(
    "noise", [b"Traceback (most recent call last)", b"S\xff\xff\xff\xff", b"\x00" * 5], ids=repr
)
def test_nonsense_is_taken_for_death(
    pico: PicoVoice, processes: Any, begin: Callable[..., Any], noise: bytes
) -> None:
    outcome = begin(pico.render("Uno."))
    processes.processes[0].protocol.outReceived(noise)
    assert processes.processes[0].killed
    processes.processes[1].protocol.outReceived(reply())
    np.testing.assert_array_equal(outcome.value, SOUND)


def test_a_program_that_cannot_start(pico: PicoVoice, processes: Any, begin: Callable[..., Any]) -> None:
    processes.refuse = OSError("too many processes")
    outcome = begin(pico.render("Uno."))
    assert isinstance(outcome.error, VoiceFailed)
    assert "too many processes" in str(outcome.error)
    processes.refuse = None
    outcome = begin(pico.render("Dos."))
    processes.processes[0].protocol.outReceived(reply())
    np.testing.assert_array_equal(outcome.value, SOUND)


def test_whoever_waits_may_be_cancelled(pico: PicoVoice, processes: Any, begin: Callable[..., Any]) -> None:
    first, second, third = (begin(pico.render(text)) for text in ("Uno.", "Dos.", "Tres."))
    first.deferred.cancel()
    second.deferred.cancel()
    processes.processes[0].protocol.outReceived(reply() + reply())
    assert asked(processes.processes[0]) == ["Uno.", "Tres."]
    np.testing.assert_array_equal(third.value, SOUND)


def test_stop_fails_what_waits_and_ends_the_child(
    pico: PicoVoice, processes: Any, begin: Callable[..., Any]
) -> None:
    outcomes = [begin(pico.render(text)) for text in ("Uno.", "Dos.")]
    gone = pico.stop()
    (process,) = processes.processes
    assert process.stdin_closed
    assert all(isinstance(outcome.error, VoiceFailed) for outcome in outcomes)
    assert not gone.called
    process.exit()
    assert gone.called
    processes.advance(10)
    assert processes.getDelayedCalls() == []
    assert not process.killed
    assert isinstance(begin(pico.render("Tres.")).error, VoiceFailed)
    assert len(processes.processes) == 1


def test_stop_kills_a_child_that_will_not_end(
    pico: PicoVoice, processes: Any, begin: Callable[..., Any]
) -> None:
    begin(pico.render("Uno."))
    gone = pico.stop()
    processes.pump([0.1] * 50)
    assert processes.processes[0].killed
    assert gone.called
    assert processes.getDelayedCalls() == []


def test_stop_without_a_child_is_done_at_once(pico: PicoVoice) -> None:
    assert pico.stop().called
    assert pico.stop().called


def test_too_much_is_refused(pico: PicoVoice, begin: Callable[..., Any]) -> None:
    assert isinstance(begin(pico.render("a" * 2001)).error, VoiceFailed)
    outcomes = [begin(pico.render("Uno.")) for _ in range(voice.MAX_WAITING + 2)]
    assert [outcome.pending for outcome in outcomes] == [True] * (voice.MAX_WAITING + 1) + [False]
    assert isinstance(outcomes[-1].error, VoiceFailed)
    pico.stop()


def test_without_the_engine_the_voice_is_missing(
    processes: Any, begin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "find_spec", lambda name: None)
    outcome = begin(PicoVoice(processes).render("Uno."))
    assert isinstance(outcome.error, VoiceMissing)
    assert "py-nanotts" in str(outcome.error)
    assert processes.processes == []


def test_a_language_without_a_voice(processes: Any) -> None:
    with pytest.raises(VoiceMissing, match="es-MX"):
        PicoVoice(processes, "xx-XX")


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=8))
def test_any_output_of_a_child_is_survived(chunks: list[bytes]) -> None:
    """Whatever comes, the text ends in a sound or in VoiceFailed, once its time is over."""
    from twisted.internet.task import Clock

    class Reactor(Clock):
        children: Any = ()

        def spawnProcess(self, protocol: Any, *args: Any, **more: Any) -> None:  # noqa: N802
            class Transport:
                def write(self, data: bytes) -> None: ...
                def signalProcess(self, name: str) -> None: ...  # noqa: N802

            self.children = (*self.children, protocol)
            protocol.makeConnection(Transport())

    reactor = Reactor()
    ended: list[Any] = []
    from twisted.internet.defer import ensureDeferred

    ensureDeferred(PicoVoice(reactor, command=["x"]).render("Uno.")).addBoth(ended.append)
    for chunk in chunks:
        reactor.children[-1].outReceived(chunk)
    reactor.advance(11)
    (result,) = ended
    assert isinstance(result, np.ndarray) or result.check(VoiceFailed)
    assert reactor.getDelayedCalls() == []
