"""The media engine: one object for all calls of a process, one tick of 20 ms for all of them.

Each tick (beat.py) empties every socket, searches all calls for tones at once, lets every listener hear and
speak, and sends. Sockets are not registered with the reactor; they are looked at in the tick, which costs
less than an event for each packet. Streams that run smoothly are ticked all at once (rows.py), the others
one by one::

            smooth: a row each                  by hand: packet by packet
    drain   one datagram of each, in rounds --> what was not expected, and all that waits
    search  frames of a round, all lines        one frame of each a round
    hear    frames of all                       PlayoutBuffer.get
    speak   listener.tick                       listener.tick
    send    encoded at once, sent one by one    the same
                                          <---- runs smoothly (again)
"""

from __future__ import annotations

import select
import selectors
import socket
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

import dtmf
from ivr_sim.errors import LocalProtocolError
from ivr_sim.media.beat import Beat, Metronome
from ivr_sim.media.g711 import FRAME_SAMPLES, Codec, Samples
from ivr_sim.media.port_pairs import NoPortFree, PortPairs
from ivr_sim.media.reception import TICKS_PER_SECOND
from ivr_sim.media.rows import PACKET_SIZE, Rows, Slots, Taken
from ivr_sim.media.stream import MediaStream, StreamListener
from ivr_sim.media.transmission import Transmission

__all__ = ["Beat", "MediaEngine", "MediaStream", "NoPortFree", "StreamListener"]

MAX_BURST = 25  # ticks; audio that is later is left out: telephones buffer no more than half a second
ROUNDS = 8  # frames of one call searched for tones in one tick, when several have piled up
DRAINS = 4  # datagrams of a smooth stream in one tick; one with more of them is taken by hand

Key = tuple[int, bytes, int, bool]
Left = tuple[MediaStream, tuple[bytes, Any] | None]
Speaking = dict[Codec, tuple[list[MediaStream], list[Samples]]]

_SILENCE = np.zeros(FRAME_SAMPLES, np.int16)
_SILENCE.flags.writeable = False


class MediaEngine:
    """Carries the media of all calls of a process.

    clock: the reactor, or another IReactorTime. host: the IPv4 or IPv6 address of all streams. ports: the
    first and the last that may be used, of which the even ones are; see ``PortPairs``. detect_inband: whether
    tones are searched for. keys: which of them (the fewer, the less is speech taken for one). max_streams:
    how many there may be at a time. through: puts each socket behind a bad network, for tests of it.
    Raises ConfigurationError when that makes no sense.
    """

    def __init__(
        self,
        clock: Any,
        *,
        host: str = "127.0.0.1",
        ports: tuple[int, int] = (16384, 32766),
        detect_inband: bool = True,
        keys: str = dtmf.KEYS_16,
        max_streams: int = 1024,
        through: Callable[[socket.socket], Any] | None = None,
    ) -> None:
        self.host = host
        self._clock = clock
        self._metronome = Metronome(clock)
        self._through = through
        self._ports = PortPairs(host, *ports)
        self._slots = max_streams
        self._transmission = Transmission(max_streams)
        self._rows = Rows(max_streams)
        self._receiver = dtmf.Receiver(max_streams, keys=keys, refusals=True) if detect_inband else None
        self._free = list(range(max_streams - 1, -1, -1))
        self._streams: dict[int, MediaStream] = {}  # by slot
        self._files: dict[int, MediaStream] = {}  # those that may run smoothly, by their sockets' number
        # Windows has no poll: there each socket is asked for a packet, whether it has one or not.
        self._poll = select.poll() if hasattr(select, "poll") else None
        # Reports are few, and waited for only where that costs nothing per socket; else they are read late.
        scales = hasattr(select, "epoll") or hasattr(select, "kqueue")
        self._reporting = selectors.DefaultSelector() if scales else None

    @property
    def streams(self) -> tuple[MediaStream, ...]:
        """The streams that are open."""
        return tuple(self._streams.values())

    @property
    def beat(self) -> Beat:
        """How well the engine keeps time."""
        return self._metronome.beat

    @property
    def overloaded(self) -> bool:
        """Whether the calls that are up take more than there is: another would harm them all."""
        return self._metronome.overloaded

    def start(self) -> None:
        """Begin to tick. Raises LocalProtocolError when it ticks already."""
        self._metronome.start(self._tick)

    def stop(self) -> None:
        """Close all streams and tick no more."""
        self._metronome.stop()
        for stream in self.streams:
            stream.close()

    def open(self) -> MediaStream:
        """A stream on a free even port, found from a random one on upwards. Raises NoPortFree."""
        if not self._free:
            raise NoPortFree(f"{len(self._streams)} calls have media, and no more are allowed")
        audio, reports = self._ports.open()
        slot = self._free.pop()
        self._transmission.open(slot)
        if self._receiver is not None:
            self._receiver.reset(slot)
        rows = self._rows if self._through is None else None
        behind = audio if self._through is None else self._through(audio)
        stream = MediaStream(slot, (behind, reports), self._transmission, rows, self)
        self._streams[slot] = stream
        if self._reporting is not None:
            self._reporting.register(stream.reports, selectors.EVENT_READ, stream)
        return stream

    def started(self, stream: MediaStream) -> None:
        """A stream's own word that it ticks from now on."""
        stream.reports.start(self._clock.seconds())
        if stream.fileno >= 0:
            self._files[stream.fileno] = stream
            if self._poll is not None:
                self._poll.register(stream.fileno, select.POLLIN)

    def closed(self, stream: MediaStream) -> None:
        """A stream's own word that it is about to close."""
        if self._files.pop(stream.fileno, None) is not None and self._poll is not None:
            self._poll.unregister(stream.fileno)
        if self._reporting is not None:
            self._reporting.unregister(stream.reports)
        del self._streams[stream.slot]
        self._free.append(stream.slot)

    def _tick(self, late: int) -> None:
        """late: ticks before the one that is due now; the last of those that are caught up is on time."""
        on_time = late == 0
        by_slot = {slot: stream for slot, stream in self._streams.items() if stream.started}
        streams = list(by_slot.values())
        hands = [stream for stream in streams if not stream.smooth]
        rounds, left = self._drain()
        if on_time:
            silent = [by_slot[slot] for slot in self._rows.silent()]
            for stream in silent:
                stream.by_hand()
            hands += silent
        self._rows.settle(on_time=on_time)
        for stream in hands:
            stream.receive(on_time=on_time)
        for stream, first in chain.from_iterable(left):
            stream.receive(on_time=on_time, first=first)
        self._search(by_slot, hands, rounds, left)
        speaking, keys = self._converse(by_slot, streams)
        self._send(speaking, keys, late)
        self._transmission.advance([stream.slot for stream in streams])
        for stream in streams:
            if not stream.smooth:
                stream.smoothen()
        self._report(by_slot)

    def _report(self, by_slot: dict[int, MediaStream]) -> None:
        """Take the reports that came; once a second, by turns, let each stream send its own."""
        now = self._clock.seconds()
        if self._reporting is not None:
            for key, _ in self._reporting.select(0):
                key.data.read_reports(now)
        for slot in range(self._metronome.ticks % TICKS_PER_SECOND, self._slots, TICKS_PER_SECOND):
            if slot in by_slot:
                if self._reporting is None:
                    by_slot[slot].read_reports(now)
                by_slot[slot].send_report(now)

    def _drain(self) -> tuple[list[Taken], list[list[Left]]]:
        """Take what has arrived for the streams that run smoothly, in rounds of one datagram of each.

        Also those that left their row in each round, with the datagram that made them.
        """
        rounds: list[Taken] = []
        left: list[list[Left]] = []
        files, views = self._files, self._rows.datagrams
        ready: Iterable[tuple[int, int]] = [(number, 0) for number in files] if self._poll is None else ()
        for _ in range(DRAINS):
            slots: list[int] = []
            reading: list[MediaStream] = []
            leaving: list[Left] = []
            for number, _ in ready if self._poll is None else self._poll.poll(0):
                stream = files[number]
                if not stream.smooth:
                    continue
                view = views[stream.slot]
                try:
                    size, source = stream.receive_into(view)
                except OSError:
                    continue  # nothing there, or left by a packet of ours (ICMP, on Windows)
                reading.append(stream)
                if source != stream.source:
                    stream.refuse(bytes(view[:size]), source)
                elif size == PACKET_SIZE:
                    slots.append(stream.slot)
                else:
                    leaving.append((stream, (bytes(view[:size]), source)))
            if not reading:
                return rounds, left
            ready = [(stream.fileno, 0) for stream in reading]
            taken = self._rows.take(slots)
            for slot in taken.odd:
                stream = self._streams[slot]
                leaving.append((stream, (bytes(views[slot][:PACKET_SIZE]), stream.source)))
            for stream, _ in leaving:
                stream.by_hand()
            rounds.append(taken)
            left.append(leaving)
        late = [stream for stream in reading if stream.smooth]
        for stream in late:
            stream.by_hand()
        left.append([(stream, None) for stream in late])
        return rounds, left

    def _search(
        self,
        by_slot: dict[int, MediaStream],
        hands: list[MediaStream],
        rounds: list[Taken],
        left: list[list[Left]],
    ) -> None:
        """Look for tones in what has arrived, one frame of every call at a time."""
        for turn in range(ROUNDS):
            if turn < len(left):
                hands = hands + [stream for stream, _ in left[turn]]
            found = [(stream, frame) for stream in hands if (frame := stream.tones()) is not None]
            hands = [stream for stream, _ in found]
            slots: Slots = np.array([stream.slot for stream in hands], np.intp)
            frames: list[Samples] = [frame[None] for _, frame in found]
            if turn < len(rounds):
                slots = np.concatenate([rounds[turn].slots, slots])
                frames.insert(0, rounds[turn].frames)
            elif not found and turn >= len(left):
                return
            if self._receiver is None or not len(slots):
                continue
            for event in self._receiver.feed(np.concatenate(frames) if len(frames) > 1 else frames[0], slots):
                stream = by_slot[event.line]
                if isinstance(event, dtmf.KeyDown):
                    stream.tone_down(event.digit, event.start_s)
                else:
                    tone = event.tone
                    stream.tone_up(tone.digit, tone.end_s - tone.start_s, tone.level_dbm0, tone.twist_db)
            for miss in self._receiver.refused():
                by_slot[miss.line].tone_refused(miss)

    def _heard(
        self, by_slot: dict[int, MediaStream], streams: list[MediaStream]
    ) -> Iterator[tuple[MediaStream, Samples]]:
        """Every stream with what it hears in this tick."""
        for slot in self._rows.unsettled():
            by_slot[slot].by_hand()
        hands = [stream for stream in streams if not stream.smooth]
        slots, sounds = self._rows.hear()
        yield from zip([by_slot[slot] for slot in slots.tolist()], sounds, strict=True)
        for stream in hands:
            if not stream.closed:
                yield stream, stream.hear()

    def _converse(
        self, by_slot: dict[int, MediaStream], streams: list[MediaStream]
    ) -> tuple[Speaking, list[tuple[MediaStream, Key]]]:
        """Let every listener hear and speak: what they say, by codec, and the keys that are sent instead."""
        speaking: Speaking = {}
        keys: list[tuple[MediaStream, Key]] = []
        codec: Codec | None = None  # of the last one that spoke: most speak in the same
        for stream, sound in self._heard(by_slot, streams):
            try:
                said = stream.speak(sound)
            except Exception as error:
                stream.fail(error)
                continue
            key = stream.key_to_send() if stream.waits else None
            if stream.destination is None or stream.codec is None:
                continue  # on hold, or closed
            if key is not None:
                keys.append((stream, key))
                continue
            if stream.codec is not codec:
                codec = stream.codec
                speakers, words = speaking.setdefault(codec, ([], []))
            speakers.append(stream)
            words.append(_SILENCE if said is None else said)
        return speaking, keys

    def _send(self, speaking: Speaking, keys: list[tuple[MediaStream, Key]], late: int) -> None:
        transmission = self._transmission
        for codec, (speakers, words) in speaking.items():
            if late >= MAX_BURST:
                transmission.pause([stream.slot for stream in speakers])
                continue
            try:
                transmission.build([stream.slot for stream in speakers], codec, words)
            except LocalProtocolError:
                speakers = self._build_each(speakers, codec, words)
            for stream in speakers:
                stream.send(transmission.packet(stream.slot))
        for stream, (payload_type, payload, timestamp, marker) in keys:
            if not stream.closed:
                stream.send(transmission.event(stream.slot, payload_type, payload, timestamp, marker=marker))

    def _build_each(
        self, speakers: list[MediaStream], codec: Codec, words: list[Samples]
    ) -> list[MediaStream]:
        """Somebody spoke what is no frame, which costs nobody else theirs: those that remain."""
        built = []
        for stream, said in zip(speakers, words, strict=True):
            try:
                self._transmission.build([stream.slot], codec, [said])
                built.append(stream)
            except LocalProtocolError as error:
                stream.fail(error)
        return built
