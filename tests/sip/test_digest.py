"""Digest: the RFCs' own examples, both sides against each other, and everything that a gate refuses."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr_sim.sip.digest import DigestGate, answer, authorize, parse
from ivr_sim.sip.message import BadMessage, Headers, Request, Response

# RFC 2617 section 3.5 and RFC 7616 section 3.9.1.
RFC_2617 = (
    'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)
RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
CNONCE_7616 = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
VECTORS = [
    (RFC_2617, "Mufasa", "Circle Of Life", "0a4f113b", "6629fae49393a05397450978507c4ef1"),
    (
        RFC_7616.format("MD5"), "Mufasa", "Circle of Life", CNONCE_7616,
        "8ca523f5e9506fed4657c9700eebdbec",
    ),
    (
        RFC_7616.format("SHA-256"), "Mufasa", "Circle of Life", CNONCE_7616,
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("challenge", "user", "password", "cnonce", "response"), VECTORS)
def test_the_examples_of_the_rfcs(challenge, user, password, cnonce, response):
    value = authorize(
        challenge, method="GET", uri="/dir/index.html", user=user, password=password, cnonce=cnonce, nc=1
    )
    params = parse(value)
    assert params["response"] == response
    assert (params["qop"], params["nc"], params["cnonce"]) == ("auth", "00000001", cnonce)
    assert params["opaque"] == parse(challenge)["opaque"]


def test_without_qop_as_in_rfc_2069():
    # RFC 2069's example with the response of its erratum 749.
    value = authorize(
        'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"',
        method="GET", uri="/dir/index.html", user="Mufasa", password="CircleOfLife", cnonce="x",
    )  # fmt: skip
    assert parse(value)["response"] == "1949323746fe6a43ef61f9606e7febea"
    assert "qop" not in parse(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Basic abc",
        "Digest realm",
        'Digest realm="open',
        "Digest realm=a realm=b",
        "Digest a=1, a=2",
        "Digest a=1,,b=2",
    ],
)
def test_broken_parameters_are_a_400(text):
    with pytest.raises(BadMessage):
        parse(text)


def test_commas_and_quotes_inside_of_quotes():
    assert parse('Digest realm="a, \\"b\\"", qop="auth,auth-int",nonce=x') == {
        "realm": 'a, "b"', "qop": "auth,auth-int", "nonce": "x",
    }  # fmt: skip


@pytest.mark.parametrize(
    "challenge",
    ['Digest realm="r"', 'Digest nonce="n"', 'Digest realm="r", nonce="n", algorithm=MD5-sess',
     'Digest realm="r", nonce="n", qop="auth-int"'],
)  # fmt: skip
def test_challenges_that_we_cannot_answer(challenge):
    with pytest.raises(BadMessage):
        authorize(challenge, method="REGISTER", uri="sip:r", user="u", password="p", cnonce="c")


def test_answer_takes_the_first_challenge_that_it_can():
    asked = Response(407, "x", Headers([
        ("Proxy-Authenticate", 'Digest realm="r", nonce="n", algorithm=SHA-512-256'),
        ("Proxy-Authenticate", 'Digest realm="r", nonce="n", algorithm=SHA-256'),
        ("Proxy-Authenticate", 'Digest realm="r", nonce="n"'),
    ]))  # fmt: skip
    name, value = answer(asked, method="INVITE", uri="sip:r", user="u", password="p", cnonce="c")
    assert name == "Proxy-Authorization"
    assert parse(value)["algorithm"] == "SHA-256"
    asked.status = 401
    with pytest.raises(BadMessage):
        answer(asked, method="INVITE", uri="sip:r", user="u", password="p", cnonce="c")


# The gate ------------------------------------------------------------------------------------------

ACCOUNTS = {"alice": "secret", "bob": 'quo"ted'}


@pytest.fixture(params=["MD5", "SHA-256"])
def gate(request) -> DigestGate:
    return DigestGate("ivr.test", ACCOUNTS, b"k" * 32, algorithms=[request.param], nonce_age=300, memory=3)


def credentials(
    challenge: str, user: str = "alice", password: str = "secret", nc: int = 1, method: str = "REGISTER"
) -> str:
    return authorize(
        challenge, method=method, uri="sip:ivr.test", user=user, password=password, cnonce="c", nc=nc
    )


def check(
    gate: DigestGate, *values: str, now: float = 0.0, method: str = "REGISTER", header: str = "Authorization"
):
    request = Request(method, "sip:ivr.test", Headers([(header, value) for value in values]))
    return gate.check(request, now)


def algorithm_of(gate: DigestGate) -> str:
    return parse(gate.challenges(0.0)[0])["algorithm"]


def test_right_credentials_pass(gate):
    verdict = check(gate, credentials(gate.challenges(0.0)[0]))
    assert (verdict.cause, verdict.user) == ("ok", "alice")
    assert check(gate, credentials(gate.challenges(0.0)[0], "bob", 'quo"ted')).cause == "ok"


def test_proxy_credentials_are_looked_for_where_they_belong(gate):
    value = credentials(gate.challenges(0.0)[0])
    request = Request("REGISTER", "sip:ivr.test", Headers([("Proxy-Authorization", value)]))
    assert gate.check(request, 0.0).cause == "missing"
    assert gate.check(request, 0.0, proxy=True).cause == "ok"


def test_who_is_refused_and_why(gate):
    asked = gate.challenges(0.0)[0]
    assert check(gate).cause == "missing"
    assert check(gate, "Basic YTpi").cause == "missing"
    assert check(gate, credentials(asked).replace("ivr.test", "other.test")).cause == "missing"
    assert check(gate, credentials(asked, "mallory")).cause == "unknown_user"
    assert check(gate, credentials(asked, password="wrong")).cause == "wrong_password"
    assert check(gate, credentials(asked, method="INVITE")).cause == "wrong_password"
    assert check(gate, credentials(asked) + ",,").cause == "malformed"
    assert check(gate, 'Digest realm="ivr.test", username="alice"').cause == "malformed"
    assert check(gate, credentials(asked).replace("qop=auth", "qop=auth-int")).cause == "malformed"
    assert check(gate, credentials(asked).replace("nc=00000001", "nc=1")).cause == "malformed"
    assert check(gate, credentials(asked)).cause == "ok"


def test_other_realms_are_passed_over(gate):
    foreign = credentials('Digest realm="elsewhere", nonce="n"')
    assert check(gate, foreign, credentials(gate.challenges(0.0)[0])).cause == "ok"


def test_a_nonce_grows_old(gate):
    asked = gate.challenges(1000.0)[0]
    assert check(gate, credentials(asked, nc=1), now=1299.0).cause == "ok"
    assert check(gate, credentials(asked, nc=2), now=1301.0).cause == "stale"
    assert parse(gate.challenges(1301.0, stale=True)[0])["stale"] == "true"
    assert "stale" not in parse(asked)


def test_a_count_is_good_once(gate):
    asked = gate.challenges(0.0)[0]
    causes = [check(gate, credentials(asked, nc=nc)).cause for nc in (1, 1, 3, 2, 4)]
    assert causes == ["ok", "stale", "ok", "stale", "ok"]


def test_without_qop_a_nonce_is_good_once(gate):
    asked = gate.challenges(0.0)[0].replace(', qop="auth"', "")
    assert [check(gate, credentials(asked)).cause for _ in range(2)] == ["ok", "stale"]


def test_nonces_of_others_are_stale(gate):
    other = DigestGate("ivr.test", ACCOUNTS, b"x" * 32, algorithms=[algorithm_of(gate)])
    assert check(gate, credentials(other.challenges(0.0)[0])).cause == "stale"
    for nonce in ("", "é", "zz.1.00", "..", "1.1.1", parse(gate.challenges(0.0)[0])["nonce"][:-1]):
        forged = f'Digest realm="ivr.test", nonce="{nonce}", algorithm={algorithm_of(gate)}, qop="auth"'
        assert check(gate, credentials(forged)).cause == "stale"


def test_challenges_and_failures_cost_no_memory(gate):
    nonces = {parse(gate.challenges(0.0)[0])["nonce"] for _ in range(100)}
    assert len(nonces) == 100
    for _ in range(50):
        check(gate, credentials(gate.challenges(0.0)[0], password="wrong"))
    assert len(gate._counts) == 0
    for _ in range(50):
        assert check(gate, credentials(gate.challenges(0.0)[0])).cause == "ok"
    assert len(gate._counts) == 3


@given(
    st.text(max_size=80)
    | st.text('Digest realm="ivr.tes",=\\ nonce', max_size=60).map(lambda t: "Digest " + t)
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_garbage_passes_or_raises(text):
    gate = DigestGate("ivr.test", ACCOUNTS, b"k")
    value = text.replace("\r", "").replace("\n", "")
    assert check(gate, value).cause in ("missing", "malformed")


# Several algorithms ---------------------------------------------------------------------------------


def test_each_algorithm_that_is_offered_passes_by_the_same_nonce_once():
    gate = DigestGate("ivr.test", ACCOUNTS, b"k", algorithms=["SHA-256", "MD5"])
    strong, weak = gate.challenges(0.0)
    assert (parse(strong)["algorithm"], parse(weak)["algorithm"]) == ("SHA-256", "MD5")
    assert parse(strong)["nonce"] == parse(weak)["nonce"]
    assert check(gate, credentials(strong)).cause == "ok"
    assert check(gate, credentials(weak)).cause == "stale"
    assert check(gate, credentials(gate.challenges(0.0)[1])).cause == "ok"


def test_an_algorithm_that_is_not_offered_does_not_pass():
    gate = DigestGate("ivr.test", ACCOUNTS, b"k", algorithms=["SHA-256"])
    weak = gate.challenges(0.0)[0].replace("SHA-256", "MD5")
    assert check(gate, credentials(weak)).cause == "malformed"


@pytest.mark.parametrize(
    ("sent", "cause"), [("sha-256", "ok"), ('"SHA-256"', "ok"), ("SHA-512", "malformed")]
)
def test_the_name_of_an_algorithm_has_no_case(sent, cause):
    gate = DigestGate("ivr.test", ACCOUNTS, b"k", algorithms=["SHA-256"])
    value = credentials(gate.challenges(0.0)[0]).replace("algorithm=SHA-256", f"algorithm={sent}")
    assert check(gate, value).cause == cause


@pytest.mark.parametrize(
    ("signed", "asked", "cause"),
    [
        ("sip:5000@ivr.test", "sip:5000@ivr.test", "ok"),
        ("sip:5000@127.0.0.1:5060;transport=UDP", "sip:5000@ivr.test", "ok"),  # another name of ours
        ("sip:%35000@ivr.test", "sip:5000@ivr.test", "ok"),
        ("sip:127.0.0.1:5060", "sip:5000@ivr.test", "ok"),  # SIPp signs the server
        ("sip:5001@ivr.test", "sip:5000@ivr.test", "malformed"),
        ("sip:5000@ivr.test", "sip:ivr.test", "malformed"),
    ],
)
def test_the_signed_uri_may_look_different_but_names_nobody_else(signed, asked, cause):
    gate = DigestGate("ivr.test", ACCOUNTS, b"k")
    value = authorize(gate.challenges(0.0)[0], method="INVITE", uri=signed, user="alice", password="secret",
                      cnonce="c")  # fmt: skip
    assert gate.check(Request("INVITE", asked, Headers([("Authorization", value)])), 0.0).cause == cause


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("gives_back", [True, False])
def test_what_is_opaque_is_the_same_in_every_challenge_and_need_not_come_back(algorithm, gives_back):
    gate = DigestGate("ivr.test", {"alice": "secret"}, b"k", algorithms=[algorithm])
    first, second = (parse(gate.challenges(now)[0]) for now in (0.0, 100.0))
    assert first["opaque"] == second["opaque"]
    assert first["nonce"] != second["nonce"]
    (asked,) = gate.challenges(100.0)
    value = authorize(
        asked, method="REGISTER", uri="sip:ivr.test", user="alice", password="secret", cnonce="c"
    )
    opaque = f', opaque="{first["opaque"]}"'
    assert opaque in value
    if not gives_back:
        value = value.replace(opaque, "")
    request = Request("REGISTER", "sip:ivr.test", Headers([("Authorization", value)]))
    assert gate.check(request, 101.0).cause == "ok"
