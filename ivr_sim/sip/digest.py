"""HTTP Digest as SIP uses it (RFC 3261 section 22, RFC 2617, RFC 7616, RFC 8760): both sides, no I/O.

MD5 and SHA-256, with ``qop=auth`` or, for old peers, without.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ivr_sim.sip.grammar import BadMessage, quote, unquote
from ivr_sim.sip.message import Request, Response
from ivr_sim.sip.uri import Uri

__all__ = ["DigestGate", "Verdict", "answer", "authorize", "challenge", "other_realm", "parse"]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


ALGORITHMS: Mapping[str, Callable[[str], str]] = {"MD5": _md5, "SHA-256": _sha256}
_PARAM = re.compile(
    r'[ \t]*([A-Za-z0-9_\-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s",]+)[ \t]*(?:,|\Z)', re.DOTALL
)


def parse(text: str) -> dict[str, str]:
    """Parse ``Digest name=value, ...``: names in lower case, values without quotes.

    Raises BadMessage 400: another scheme, a broken or repeated parameter.
    """
    scheme, _, rest = text.strip(" \t").partition(" ")
    if scheme.lower() != "digest":
        raise BadMessage(400, "Not Digest")
    params: dict[str, str] = {}
    at = 0
    while at < len(rest):
        found = _PARAM.match(rest, at)
        if found is None or found[1].lower() in params:
            raise BadMessage(400, "Malformed credentials")
        params[found[1].lower()] = unquote(found[2])
        at = found.end()
    return params


def challenge(realm: str, nonce: str, *, algorithm: str = "MD5", stale: bool = False) -> str:
    """The value of WWW-Authenticate or Proxy-Authenticate.

    Its opaque says nothing, as all that a gate needs is in the nonce; but some phones want one there.
    """
    flag = ", stale=true" if stale else ""
    opaque = _sha256(realm)[:8]
    return (
        f'Digest realm={quote(realm)}, nonce="{nonce}", opaque="{opaque}", algorithm={algorithm}, '
        f'qop="auth"{flag}'
    )


def _response(
    params: Mapping[str, str], *, algorithm: str, method: str, uri: str, user: str, password: str
) -> str:
    """The request-digest (RFC 7616 section 3.4.1); ``params``: realm, nonce, and with qop nc, cnonce."""
    digest = ALGORITHMS[algorithm]
    ha1 = digest(f"{user}:{params['realm']}:{password}")
    ha2 = digest(f"{method}:{uri}")
    if "qop" not in params:
        return digest(f"{ha1}:{params['nonce']}:{ha2}")
    return digest(f"{ha1}:{params['nonce']}:{params['nc']}:{params['cnonce']}:{params['qop']}:{ha2}")


def authorize(
    challenge: str, *, method: str, uri: str, user: str, password: str, cnonce: str, nc: int = 1
) -> str:
    """The value of Authorization or Proxy-Authorization that answers a challenge.

    nc counts the uses of one nonce from 1 on. Raises BadMessage 400: not Digest, no realm or nonce, or an
    algorithm or qop that we do not have.
    """
    asked = parse(challenge)
    algorithm = asked.get("algorithm", "MD5").upper()
    if "realm" not in asked or "nonce" not in asked or algorithm not in ALGORITHMS:
        raise BadMessage(400, "Unusable challenge")
    params = {"realm": asked["realm"], "nonce": asked["nonce"]}
    if "qop" in asked:
        if "auth" not in (option.strip() for option in asked["qop"].lower().split(",")):
            raise BadMessage(400, "Unusable challenge")
        params |= {"qop": "auth", "nc": f"{nc:08x}", "cnonce": cnonce}
    reply = _response(params, algorithm=algorithm, method=method, uri=uri, user=user, password=password)
    parts = [
        f"username={quote(user)}",
        f"realm={quote(asked['realm'])}",
        f"nonce={quote(asked['nonce'])}",
        f"uri={quote(uri)}",
        f'response="{reply}"',
        f"algorithm={asked.get('algorithm', 'MD5')}",
    ]
    if "opaque" in asked:
        parts.append(f"opaque={quote(asked['opaque'])}")
    if "qop" in params:
        parts.append(f"qop=auth, nc={params['nc']}, cnonce={quote(cnonce)}")
    return "Digest " + ", ".join(parts)


def answer(
    response: Response, *, method: str, uri: str, user: str, password: str, cnonce: str, nc: int = 1
) -> tuple[str, str]:
    """The header (name, value) that answers a 401 or 407: the first of its challenges that we can.

    Raises BadMessage 400 when there is none.
    """
    asks, answers = (
        ("Proxy-Authenticate", "Proxy-Authorization")
        if response.status == 407
        else ("WWW-Authenticate", "Authorization")
    )
    for value in response.headers.get_all(asks):
        try:
            return answers, authorize(
                value, method=method, uri=uri, user=user, password=password, cnonce=cnonce, nc=nc
            )
        except BadMessage:
            continue
    raise BadMessage(400, "No usable challenge")


def other_realm(values: Iterable[str], realm: str) -> str | None:
    """The realm of credentials that are all for somewhere else; None when there are none, or some for us."""
    other: str | None = None
    for value in values:
        try:
            given = parse(value).get("realm")
        except BadMessage:
            continue
        if given == realm:
            return None
        other = given if other is None else other
    return other


@dataclass(frozen=True)
class Verdict:
    """What a gate found: ``user`` is the name that was given, authenticated only if ``cause`` is ok.

    missing: no credentials for this realm. stale: right, but the nonce is too old, not ours, or was used
    with this count before; the peer is asked again. malformed: credentials that cannot be read.
    """

    cause: Literal["ok", "missing", "stale", "unknown_user", "wrong_password", "malformed"]
    user: str | None = None


class DigestGate:
    """Who may pass: challenges, and credentials checked against accounts (user to password).

    A nonce carries its own time and a signature by ``secret``, so asking costs no memory; only a nonce
    that was answered rightly is remembered, for its highest count, at most ``memory`` of them. Times
    are seconds of any steady clock, given with each call. algorithms: what is asked for, in this order
    (RFC 8760); credentials in any of them pass.
    """

    def __init__(
        self,
        realm: str,
        accounts: Mapping[str, str],
        secret: bytes,
        *,
        algorithms: Sequence[str] = ("MD5",),
        nonce_age: float = 300.0,
        memory: int = 4096,
    ) -> None:
        self.realm = realm
        self._accounts = accounts
        self._secret = secret
        self._algorithms = tuple(algorithms)
        self._nonce_age = nonce_age
        self._memory = memory
        self._issued = 0
        self._counts: OrderedDict[str, int] = OrderedDict()

    def challenges(self, now: float, *, stale: bool = False) -> list[str]:
        """The values of fresh WWW-Authenticate or Proxy-Authenticate headers, one for each algorithm."""
        self._issued += 1
        stamp = f"{int(now * 1000):x}.{self._issued:x}"
        nonce = f"{stamp}.{self._sign(stamp)}"
        return [challenge(self.realm, nonce, algorithm=each, stale=stale) for each in self._algorithms]

    def check(self, request: Request, now: float, *, proxy: bool = False) -> Verdict:
        """Judge a request by its Authorization (or, ``proxy``, Proxy-Authorization) for our realm.

        The ``uri`` of the credentials need not be the Request-URI letter by letter: phones sign it with other
        parameters, or by another name of ours, and SIPp the server's. But it may not name another user.
        """
        name = "Proxy-Authorization" if proxy else "Authorization"
        for value in request.headers.get_all(name):
            if value.partition(" ")[0].lower() != "digest":
                continue
            try:
                params = parse(value)
            except BadMessage:
                return Verdict("malformed")
            if params.get("realm") == self.realm:
                return self._judge(params, request, now)
        return Verdict("missing")

    def _judge(self, params: dict[str, str], request: Request, now: float) -> Verdict:
        user = params.get("username")
        algorithm = params.get("algorithm", "MD5").upper()
        counted = "qop" in params
        needed = {"nonce", "uri", "response"} | ({"nc", "cnonce"} if counted else set())
        if (
            user is None
            or not needed <= params.keys()
            or algorithm not in self._algorithms
            or (counted and params["qop"].lower() != "auth")
            or (counted and not re.fullmatch(r"[0-9A-Fa-f]{8}", params["nc"]))
            or _user(params["uri"]) not in (None, _user(request.uri))
        ):
            return Verdict("malformed", user)
        password = self._accounts.get(user)
        right = _response(params, algorithm=algorithm, method=request.method, uri=params["uri"],
                          user=user, password=password or "")  # fmt: skip
        matches = hmac.compare_digest(right.encode(), params["response"].lower().encode("utf-8", "replace"))
        if password is None:
            return Verdict("unknown_user", user)
        if not matches:
            return Verdict("wrong_password", user)
        # Without qop there is no count: such a nonce is good for one request.
        count = int(params["nc"], 16) if counted else 1
        return Verdict("ok" if self._fresh(params["nonce"], count, now) else "stale", user)

    def _fresh(self, nonce: str, count: int, now: float) -> bool:
        stamp, _, signature = nonce.rpartition(".")
        if not hmac.compare_digest(self._sign(stamp).encode(), signature.encode("utf-8", "replace")):
            return False
        issued = int(stamp.partition(".")[0], 16) / 1000
        if now - issued > self._nonce_age or count <= self._counts.get(nonce, 0):
            return False
        self._counts[nonce] = count
        self._counts.move_to_end(nonce)
        if len(self._counts) > self._memory:
            self._counts.popitem(last=False)
        return True

    def _sign(self, stamp: str) -> str:
        return hmac.new(self._secret, stamp.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]


def _user(uri: str) -> str | None:
    """The user that a URI names; None where it names nobody, or cannot be read."""
    try:
        return Uri.parse(uri).user
    except BadMessage:
        return None
