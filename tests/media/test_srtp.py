"""Encrypted audio: only the right key opens it, once, and a call over it is a call like any other."""

import builtins
import socket

import pytest

from ivr_sim.errors import ConfigurationError, LocalProtocolError
from ivr_sim.media import PCMU
from ivr_sim.media.rtcp import ReceiverReport, SourceDescription, serialise_compound
from ivr_sim.media.rtp import BadPacket, Packet
from ivr_sim.media.srtp import PROFILES, SrtpKey, SrtpPair, SrtpSession

pytest.importorskip("pylibsrtp")

HERE = "127.0.0.1"
STRONG, SHORT = PROFILES
A, B = bytes(range(30)), bytes(range(100, 130))
TAGS = {STRONG: 10, SHORT: 4}


def pair(ours=A, theirs=B, suite=STRONG):
    return SrtpPair(SrtpKey(suite, ours), SrtpKey(suite, theirs))


def sessions(suite=STRONG):
    return SrtpSession(pair(A, B, suite)), SrtpSession(pair(B, A, suite))


def rtp(n, ssrc=7, payload=b"secret" * 20):
    return Packet(0, n & 0xFFFF, 160 * n, ssrc, payload).serialise()


class TestSession:
    @pytest.mark.parametrize("suite", PROFILES)
    def test_what_one_side_seals_the_other_opens(self, suite):
        us, them = sessions(suite)
        for n in range(5):
            sealed = us.protect(rtp(n))
            assert len(sealed) == len(rtp(n)) + TAGS[suite]
            assert b"secret" not in sealed
            assert them.unprotect(sealed) == rtp(n)
            assert us.unprotect(them.protect(rtp(n, 8))) == rtp(n, 8)

    @pytest.mark.parametrize("suite", PROFILES)
    def test_reports_too(self, suite):
        us, them = sessions(suite)
        report = serialise_compound(ReceiverReport(7), SourceDescription(7, "somebody"))
        sealed = us.protect_report(report)
        assert len(sealed) == len(report) + 14  # an index, and 80 bits with either suite (RFC 4568, 6.2.2)
        assert b"somebody" not in sealed
        assert them.unprotect_report(sealed) == report

    def test_over_the_wrap_of_sequence_numbers(self):
        us, them = sessions()
        for n in range(65500, 65600):
            assert them.unprotect(us.protect(rtp(n))) == rtp(n)

    def test_another_key_opens_nothing(self):
        us, _ = sessions()
        stranger = SrtpSession(pair(B, bytes(30)))
        with pytest.raises(BadPacket, match="our key"):
            stranger.unprotect(us.protect(rtp(1)))
        with pytest.raises(BadPacket):
            stranger.unprotect_report(us.protect_report(serialise_compound(ReceiverReport(1))))

    def test_what_came_before_is_bad(self):
        us, them = sessions()
        sealed = [us.protect(rtp(n)) for n in range(200)]
        for packet in sealed[1:]:
            them.unprotect(packet)
        for packet in (sealed[150], sealed[199], sealed[0]):  # again, again, and too late
            with pytest.raises(BadPacket):
                them.unprotect(packet)
        report = us.protect_report(serialise_compound(ReceiverReport(7)))
        them.unprotect_report(report)
        with pytest.raises(BadPacket):
            them.unprotect_report(report)

    @pytest.mark.parametrize("n", [0, 1, 5, 40, -1])
    def test_a_bit_that_was_turned_is_found(self, n):
        us, them = sessions()
        forged = bytearray(us.protect(rtp(1)))
        forged[n] ^= 1
        with pytest.raises(BadPacket):
            them.unprotect(bytes(forged))

    @pytest.mark.parametrize("data", [b"", b"\x80", bytes(11), bytes(12), b"\xff" * 60, bytes(1600), rtp(1)])
    def test_garbage_and_what_is_not_encrypted_is_bad(self, data):
        us, _ = sessions()
        for unprotect in (us.unprotect, us.unprotect_report):
            with pytest.raises(BadPacket):
                unprotect(data)

    def test_a_new_key_of_one_side_leaves_the_other_where_it_was(self):
        us, them = sessions()
        for n in range(65530, 65540):
            them.unprotect(us.protect(rtp(n)))
        us.rekey(pair(A, bytes(30)))
        them.rekey(pair(bytes(30), A))
        assert them.unprotect(us.protect(rtp(65540))) == rtp(65540)
        assert us.unprotect(them.protect(rtp(1, 8))) == rtp(1, 8)
        with pytest.raises(BadPacket):
            them.unprotect(SrtpSession(pair(A)).protect(rtp(65541)))  # the count of wraps is signed, too

    @pytest.mark.parametrize("data", [b"", bytes(2000)])
    def test_what_is_no_packet_is_not_sealed(self, data):
        with pytest.raises(LocalProtocolError, match="cannot be encrypted"):
            sessions()[0].protect(data)


class TestKeys:
    @pytest.mark.parametrize(("suite", "key"), [("F8_128_HMAC_SHA1_80", A), (STRONG, A[:29]), (STRONG, b"")])
    def test_others_are_refused(self, suite, key):
        with pytest.raises(LocalProtocolError, match="SRTP key"):
            SrtpKey(suite, key)

    def test_they_do_not_show(self):
        assert "key" not in repr(SrtpKey(STRONG, A)).replace("SrtpKey", "")

    def test_without_the_library_the_error_says_what_to_install(self, monkeypatch):
        real = builtins.__import__

        def without(name, *rest):
            if name == "pylibsrtp":
                raise ImportError(name)
            return real(name, *rest)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(ConfigurationError, match=r"ivr-sim\[secure\]"):
            SrtpSession(pair())


class TestStreams:
    def talk(self, engine, listener, ours, theirs, speech=None):
        a, b = engine.open(), engine.open()
        hears = listener(speech), listener()
        a.start(hears[0], PCMU, (HERE, b.local_port), 101, srtp=ours)
        b.start(hears[1], PCMU, (HERE, a.local_port), 101, srtp=theirs)
        return (a, b), hears

    @pytest.mark.parametrize("suite", PROFILES)
    def test_a_call(self, engine, listener, ticks, suite):
        (a, b), (_, hears) = self.talk(engine, listener, pair(A, B, suite), pair(B, A, suite))
        for digit in "159#":
            a.press(digit)
        ticks(50 * 10)
        assert hears.downs == hears.ups == "159#"
        assert b.stats.received >= 499
        assert (b.stats.bad, b.stats.lost, b.stats.remote_lost) == (0, 0, 0)
        assert b.stats.round_trip_ms is not None  # reports are sealed and opened as well

    def test_tones(self, engine, listener, ticks, tones):
        speech = tones("0123456789*#", tone_ms=80, gap_ms=80, lead_ms=100)
        _, (_, hears) = self.talk(engine, listener, pair(A, B), pair(B, A), speech)
        ticks(120)
        assert hears.downs == "0123456789*#"

    def test_on_the_wire_nothing_is_in_the_clear(self, engine, listener, ticks):
        phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        phone.bind((HERE, 0))
        phone.setblocking(False)
        stream = engine.open()
        stream.start(listener(), PCMU, phone.getsockname(), 101, srtp=pair())
        ticks(3)
        data = phone.recv(2048)
        assert len(data) == 182
        assert PCMU.encode(PCMU.decode(bytes([PCMU.silence]) * 160)) not in data
        phone.sendto(rtp(1, payload=bytes(160)), (HERE, stream.local_port))
        ticks(1)
        assert (stream.stats.received, stream.stats.bad) == (0, 1)
        theirs = SrtpSession(pair(B, A))
        assert Packet.parse(theirs.unprotect(data)).payload == bytes([PCMU.silence]) * 160
        sealed = theirs.protect(rtp(2, payload=bytes(160)))
        for packet in (sealed, sealed, sealed[:-1], sealed + b"x"):
            phone.sendto(packet, (HERE, stream.local_port))
        ticks(1)
        assert (stream.stats.received, stream.stats.bad) == (1, 4)
        phone.close()

    def test_a_wrong_key_is_heard_by_nobody(self, engine, listener, ticks):
        (a, b), (_, hears) = self.talk(engine, listener, pair(A, B), pair(B, bytes(30)))
        a.press("5")
        ticks(100)
        assert hears.events == []
        assert (b.stats.received, b.stats.remote_lost) == (0, None)
        assert b.stats.bad >= 99

    def test_a_call_in_the_clear_becomes_an_encrypted_one_and_back(self, engine, listener, ticks):
        (a, b), (_, hears) = self.talk(engine, listener, None, None)
        ticks(100)
        assert b.smooth
        for keys in ((pair(A, B), pair(B, A)), (pair(B, A), pair(A, B)), (None, None)):
            before = b.stats
            a.update(srtp=keys[0])
            b.update(srtp=keys[1])
            a.press("7")
            ticks(100)
            assert b.stats.received - before.received >= 98
            assert b.stats.bad - before.bad <= 1  # on its way when the keys changed
        assert hears.ups == "777"
        assert b.stats.lost <= 3

    def test_the_library_is_asked_for_before_the_call_is_up(self, engine, listener, monkeypatch):
        monkeypatch.setattr("ivr_sim.media.srtp.srtp_library", _missing)
        stream = engine.open()
        with pytest.raises(ConfigurationError):
            stream.start(listener(), PCMU, (HERE, 4000), None, srtp=pair())
        assert not stream.started


def _missing():
    raise ConfigurationError("not installed")
