"""Keys in session descriptions: a=crypto lines (RFC 4568), and offers and answers with them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr_sim.errors import LocalProtocolError
from ivr_sim.sip import sdp
from ivr_sim.sip.crypto import SUITES, Crypto
from ivr_sim.sip.info import masked

KEY = bytes(range(30))
INLINE = f"inline:{base64.b64encode(KEY).decode()}"
EIGHTY, THIRTY_TWO = SUITES
OURS = bytes(range(100, 130))

READ = {
    "as it is": (f"1 {EIGHTY} {INLINE}", Crypto(1, EIGHTY, KEY)),
    "the shorter tag, in lower case": (f"7 {THIRTY_TWO.lower()} {INLINE}", Crypto(7, THIRTY_TWO, KEY)),
    "a lifetime": (f"1 {EIGHTY} {INLINE}|2^31", Crypto(1, EIGHTY, KEY)),
    "a lifetime as a number": (f"1 {EIGHTY} {INLINE}|1048576", Crypto(1, EIGHTY, KEY)),
    "parameters that do no harm": (f"1 {EIGHTY} {INLINE} WSH=128 -x=1", Crypto(1, EIGHTY, KEY)),
    "a master key index": (f"1 {EIGHTY} {INLINE}|2^20|1:4", None),
    "nothing encrypted": (f"1 {EIGHTY} {INLINE} UNENCRYPTED_SRTP", None),
    "keys that change": (f"1 {EIGHTY} {INLINE} KDR=1", None),
    "several keys": (f"1 {EIGHTY} {INLINE};{INLINE}", None),
    "another suite": (f"1 AEAD_AES_256_GCM {INLINE}", None),
    "a key that is too short": (f"1 {EIGHTY} inline:{base64.b64encode(KEY[:29]).decode()}", None),
    "no base64": (f"1 {EIGHTY} inline:abc", None),
    "no tag": (f"{EIGHTY} {INLINE}", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("text", "read"), READ.values(), ids=READ)
def test_lines(text: str, read: Crypto | None) -> None:
    assert Crypto.parse(text) == read


@given(st.integers(0, 999_999_999), st.sampled_from(SUITES), st.binary(min_size=30, max_size=30))
def test_what_is_written_is_read(tag: int, suite: str, key: bytes) -> None:
    crypto = Crypto(tag, suite, key)
    assert Crypto.parse(crypto.line().removeprefix("a=crypto:")) == crypto


@given(st.text(max_size=80))
def test_garbage_is_no_key(text: str) -> None:
    assert Crypto.parse(text) is None


def test_the_key_is_masked() -> None:
    secure = sdp.Secure(True, KEY)
    offered = sdp.parse(sdp.offer(host="127.0.0.1", port=4000, origin=sdp.Origin(1), secure=secure))
    answered = sdp.answer(offered, host="127.0.0.1", port=4002, origin=sdp.Origin(2), secure=secure)
    shown = f"{Crypto(1, EIGHTY, KEY)!r} {secure!r} {offered!r} {answered!r}"
    assert repr(KEY)[2:-1] not in shown
    assert base64.b64encode(KEY).decode() not in shown


def test_no_trace_holds_a_key() -> None:
    head = b"INVITE sip:a@b SIP/2.0\r\nc: application/sdp\r\n\r\n"
    line = Crypto(1, EIGHTY, KEY).line().encode()
    traced = masked(head + b"v=0\r\n" + line + b"|2^31\r\n" + line.replace(b"inline", b"INLINE"))
    assert len(traced) == len(head) + 5 + 2 * len(line) + 7
    assert traced.count(b"x" * 40) == 2
    assert base64.b64encode(KEY) not in traced
    assert masked(head + b"v=0\r\ns=-\r\n") == head + b"v=0\r\ns=-\r\n"


@pytest.mark.parametrize(("suite", "key"), [("AES", KEY), (EIGHTY, KEY[:16])])
def test_keys_of_ours_are_right(suite: str, key: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        Crypto(1, suite, key)


def offered(profile: str, *crypto: str) -> sdp.Description:
    lines = ["v=0", "o=a 1 1 IN IP4 192.0.2.7", "s=-", "c=IN IP4 192.0.2.7", "t=0 0"]
    lines += [f"m=audio 4000 {profile} 0", *(f"a=crypto:{line}" for line in crypto)]
    return sdp.parse("\r\n".join(lines).encode())


def answer(description: sdp.Description, required: bool | None) -> sdp.Answer:
    secure = None if required is None else sdp.Secure(required, OURS)
    return sdp.answer(description, host="127.0.0.1", port=16384, origin=sdp.Origin(1), secure=secure)


ONE, TWO = f"1 {EIGHTY} {INLINE}", f"2 {THIRTY_TWO} {INLINE}"
FOREIGN = f"1 AES_256_CM_HMAC_SHA1_80 {INLINE}"

# (profile, its keys, what the setting is, tag and suite of the answer, or the warning with the refusal)
CASES = [
    ("RTP/AVP", (), None, None),
    ("RTP/AVP", (), False, None),
    ("RTP/AVP", (), True, 302),
    ("RTP/AVP", (ONE,), None, None),
    ("RTP/AVP", (ONE,), False, (1, EIGHTY)),
    ("RTP/AVP", (ONE,), True, (1, EIGHTY)),
    ("RTP/AVPF", (FOREIGN,), False, None),
    ("RTP/AVPF", (FOREIGN,), True, 302),
    ("RTP/SAVP", (ONE, TWO), None, 302),
    ("RTP/SAVP", (ONE, TWO), False, (1, EIGHTY)),
    ("RTP/SAVP", (FOREIGN, TWO), True, (2, THIRTY_TWO)),
    ("RTP/SAVPF", (TWO,), True, (2, THIRTY_TWO)),
    ("RTP/SAVP", (), False, 302),
    ("RTP/SAVP", (FOREIGN,), False, 302),
    ("UDP/TLS/RTP/SAVPF", (ONE,), True, 302),
]


@pytest.mark.parametrize(("profile", "crypto", "required", "result"), CASES)
def test_offers_with_keys(
    profile: str, crypto: tuple[str, ...], required: bool | None, result: tuple[int, str] | int | None
) -> None:
    if isinstance(result, int):
        with pytest.raises(sdp.NotAcceptable) as caught:
            answer(offered(profile, *crypto), required)
        assert caught.value.warning == result
        return
    made = answer(offered(profile, *crypto), required)
    (media,) = sdp.parse(made.body).media
    assert (media.profile, media.port) == (profile, 16384)
    if result is None:
        assert (media.crypto, made.media.crypto) == ((), None)
    else:
        ours = Crypto(*result, OURS)
        assert (media.crypto, made.media.crypto) == ((ours,), (ours, Crypto(*result, KEY)))


@pytest.mark.parametrize(("ours", "profile"), [(False, "RTP/AVP"), (True, "RTP/SAVP")])
@pytest.mark.parametrize("theirs", [None, False, True])
def test_two_of_us(ours: bool, profile: str, theirs: bool | None) -> None:
    secure = sdp.Secure(ours, KEY)
    made = sdp.offer(host="127.0.0.1", port=4000, origin=sdp.Origin(1), secure=secure)
    assert sdp.parse(made).media[0].profile == profile
    if ours and theirs is None:
        with pytest.raises(sdp.NotAcceptable):
            answer(sdp.parse(made), theirs)
        return
    answered = answer(sdp.parse(made), theirs)
    agreed = sdp.accept(sdp.parse(answered.body), host="127.0.0.1", secure=secure)
    assert (agreed.crypto is None) is (theirs is None)
    if agreed.crypto is not None and answered.media.crypto is not None:
        assert agreed.crypto == answered.media.crypto[::-1]


@pytest.mark.parametrize("line", ["", TWO, f"3 {EIGHTY} {INLINE}"])
def test_an_answer_must_fit_what_we_offered(line: str) -> None:
    secure = sdp.Secure(True, KEY)
    with pytest.raises(sdp.NotAcceptable):
        sdp.accept(offered("RTP/SAVP", *([line] if line else [])), host="127.0.0.1", secure=secure)
