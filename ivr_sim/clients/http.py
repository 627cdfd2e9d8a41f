"""One HTTP request with one deadline, from before DNS to the last byte of the body.

Nothing is remembered between requests: no connection is used twice, no cookie kept, no redirect
followed, no proxy taken from the environment. What a request holds in secret (its body, its password) is
masked in everything that an exception or a log could show of it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import structlog
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer  # type: ignore[import-untyped]

from ivr_sim.clients.resolver import ResolvingReactor
from ivr_sim.clients.shown import HIDDEN, Shown, told
from ivr_sim.errors import ConfigurationError, IvrSimError, place
from ivr_sim.http_exchange import HttpExchange

__all__ = ["Body", "Credentials", "HttpCause", "HttpClient", "HttpFailed", "Reply", "checked_url"]

log = structlog.get_logger(__name__)
HttpCause = Literal["dns", "connect", "tls", "timeout", "broken", "too_large"]
MAX_REPLY = 64 * 1024  # bytes of a body that are read
# Seconds until a host's next address is tried, while the first one is silent (RFC 8305 section 5). It is
# also how late a refusal by the last of them is noticed, so Twisted's 0.3 would be told as the host's.
ATTEMPT_DELAY = 0.05
_SHOWN = {
    "dns": "the host's name could not be resolved",
    "connect": "no connection to the host",
    "tls": "no trustworthy TLS connection to the host",
    "timeout": "no whole reply in time",
    "broken": "the connection broke, or what came was not HTTP",
    "too_large": f"the reply has more than {MAX_REPLY} bytes",
}


class HttpFailed(IvrSimError):
    """No whole reply came.

    cause: dns, connect, tls, timeout, broken or too_large. sent: whether the request was handed to a
    connection, so that it may have reached the server. status: of a reply that came in part. ms: how
    long it took.
    """

    def __init__(self, cause: HttpCause, *, sent: bool, status: int | None = None, ms: int = 0) -> None:
        super().__init__(_SHOWN[cause])
        self.cause = cause
        self.sent = sent
        self.status = status
        self.ms = ms


@dataclass(frozen=True)
class Reply:
    """A whole reply. headers: by lower-case name, the last of each; ms: from before DNS to the last byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    ms: int


class Credentials:
    """User and password of HTTP Basic (RFC 7617, UTF-8), masked. Raises ConfigurationError: colon in user."""

    __slots__ = ("__header",)

    def __init__(self, user: str, password: str) -> None:
        if ":" in user:
            raise ConfigurationError("a user name for HTTP Basic cannot hold a colon (RFC 7617)")
        self.__header = b"Basic " + base64.b64encode(f"{user}:{password}".encode())

    def header(self) -> bytes:
        """The value of the Authorization header."""
        return self.__header

    def __repr__(self) -> str:
        return "Credentials(<hidden>)"

    __str__ = __repr__


@implementer(IBodyProducer)
class Body:
    """A JSON body, sent in one piece; shows nothing of it. ``sent``: whether it was given to a connection."""

    __slots__ = ("__content", "length", "sent")

    def __init__(self, json: str) -> None:
        self.__content = json.encode()
        self.length = len(self.__content)
        self.sent = False

    def startProducing(self, consumer: Any) -> Deferred[None]:  # noqa: N802
        """Write it; called by the HTTP connection."""
        self.sent = True
        content, self.__content = self.__content, b""  # it is sent once; then nobody keeps it
        consumer.write(content)
        return succeed(None)

    def pauseProducing(self) -> None:  # noqa: N802
        """Nothing to pause: it was written at once."""

    def resumeProducing(self) -> None:  # noqa: N802
        """Nothing to resume."""

    def stopProducing(self) -> None:  # noqa: N802
        """Nothing to stop."""

    def __repr__(self) -> str:
        return f"Body(<{self.length} bytes>)"

    __str__ = __repr__


class HttpClient:
    """Makes requests on the reactor.

    timeout: seconds that one request may take in all, on the reactor's clock. agent: an IAgent
    instead of Twisted's own, which verifies certificates against the platform's roots. on_exchange: hears
    of each request when it is over, in the context of whoever awaits it; an error of its own is logged.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        timeout: float,
        agent: Any = None,
        on_exchange: Callable[[HttpExchange], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._timeout = timeout
        self._agent = agent
        self._on_exchange = on_exchange
        self._connector = ResolvingReactor(reactor)
        self._endpoints = _Endpoints(self._connector, timeout)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        credentials: Credentials | None = None,
        body: Body | None = None,
        shown: Shown = HIDDEN,
    ) -> Reply:
        """Send one request and read its reply. Raises HttpFailed; cancelling closes the connection.

        shown: what of it ``on_exchange`` may see.
        """
        start = self._reactor.seconds()
        exchange = _Exchange(self._reactor)
        connection = _OneConnection(self._reactor)

        def tell(cause: str | None) -> None:
            if self._on_exchange is None:
                return
            stages = (connection.connected_at, exchange.headed_at, self._reactor.seconds())
            try:
                self._on_exchange(
                    told(
                        shown, method, url, headers or {}, basic=credentials is not None,
                        length=None if body is None else body.length, status=exchange.status,
                        reply_headers=exchange.headers, reply=exchange.body, cause=cause,
                        ms=[None if at is None else round((at - start) * 1000) for at in stages],
                    )
                )  # fmt: skip
            except Exception as error:
                log.error("a watcher of HTTP failed", error=type(error).__name__, at=place(error))

        agent: Any = self._agent or Agent.usingEndpointFactory(
            self._connector, self._endpoints, pool=connection
        )
        pending = agent.request(
            method.encode(), url.encode(), _headers(headers or {}, credentials), body
        ).addCallback(exchange.read)
        late = False

        def expire() -> None:
            nonlocal late
            late = True
            pending.cancel()

        timer = self._reactor.callLater(self._timeout, expire)
        cause: HttpCause | None = None
        try:
            await pending
        except CancelledError:
            if not late:
                connection.abort()
                tell("cancelled")
                raise
        except Exception as failed:
            cause = _cause(failed)
        finally:
            if timer.active():
                timer.cancel()
        seconds = self._reactor.seconds() - start
        ms = round(seconds * 1000)
        # A reactor that was busy may see timer and reply at once: the clock decides, not their order.
        if late or seconds > self._timeout:
            cause = "timeout"
        elif exchange.too_large:
            cause = "too_large"
        tell(cause)
        if cause is not None:
            connection.abort()
            sent = body.sent if body is not None else cause not in ("dns", "connect", "tls")
            raise HttpFailed(cause, sent=sent, status=exchange.status, ms=ms)
        assert exchange.status is not None
        return Reply(exchange.status, exchange.headers, exchange.body, ms)


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """Where a URL leads to, over TLS with certificates verified against the platform's roots."""

    def __init__(self, reactor: Any, timeout: float) -> None:
        self._reactor = reactor
        # The deadline cancels a connection attempt; Twisted's own limit must not come before.
        self._timeout = timeout * 2
        self._policy = BrowserLikePolicyForHTTPS()

    def endpointForURI(self, uri: Any) -> Any:  # noqa: N802
        """The endpoint of a twisted.web URI."""
        endpoint: Any = HostnameEndpoint(
            self._reactor, uri.host, uri.port, timeout=self._timeout, attemptDelay=ATTEMPT_DELAY
        )
        if uri.scheme == b"https":
            return wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), endpoint)
        return endpoint


class _OneConnection(HTTPConnectionPool):
    """The connection of one request, so that it can be cut: over TLS, to lose a connection is to wait
    until the other side agrees, and the one that is late does not."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor, persistent=False)
        self._clock = reactor
        self._protocol: Any = None
        self.connected_at: float | None = None

    def getConnection(self, key: Any, endpoint: Any) -> Any:  # noqa: N802
        """Called by the agent for the connection that it needs."""
        return super().getConnection(key, endpoint).addCallback(self._keep)

    def _keep(self, protocol: Any) -> Any:
        self._protocol = protocol
        self.connected_at = self._clock.seconds()
        return protocol

    def abort(self) -> None:
        """Cut the connection, if there is one."""
        if self._protocol is not None and self._protocol.transport is not None:
            self._protocol.transport.abortConnection()


class _Exchange:
    """What has come of a reply so far."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self.headed_at: float | None = None
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self.too_large = False

    def read(self, response: Any) -> Deferred[None]:
        """Read the body; the Deferred fires at its end, and cancelling it closes the connection."""
        self.status = response.code
        self.headed_at = self._clock.seconds()
        for name, values in response.headers.getAllRawHeaders():
            self.headers[name.decode("latin-1").lower()] = values[-1].decode("latin-1")
        protocol = _BodyReader(self)
        response.deliverBody(protocol)
        return protocol.done


class _BodyReader(Protocol):
    """Collects a body up to MAX_REPLY bytes."""

    transport: Any

    def __init__(self, exchange: _Exchange) -> None:
        self.exchange = exchange
        self.chunks: list[bytes] = []
        self.size = 0
        self.done: Deferred[None] = Deferred(lambda _: self.close())

    def close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.size += len(data)
        if self.size <= MAX_REPLY:
            self.chunks.append(data)
        elif not self.exchange.too_large:
            self.exchange.too_large = True
            self.close()
            self.done.callback(None)

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: N802
        self.exchange.body = b"".join(self.chunks)
        if self.done.called:
            return
        # PotentialDataLoss: a body without a length ends with its connection (HTTP/1.0), for good or ill.
        if reason is None or reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(None)
        else:
            self.done.errback(reason)


def checked_url(url: str, what: str) -> str:
    """The URL of a service, if it is usable. Raises ConfigurationError; never repeats a password in it."""
    try:
        parts = urlsplit(url)
        labels = (parts.hostname or "").removesuffix(".").split(".")
        usable = (
            parts.scheme in ("http", "https")
            and all(0 < len(label) < 64 for label in labels)
            and parts.port != 0
        )
    except ValueError:
        usable = False
    if not usable or not url.isascii() or any(c.isspace() for c in url):
        raise ConfigurationError(f"{what} URL must look like https://host[:port]/path")
    if "@" in parts.netloc:
        raise ConfigurationError(f"{what} URL must hold no user and password; they are settings of their own")
    if parts.fragment:
        raise ConfigurationError(f"{what} URL must hold no #fragment")
    return url


def _headers(given: Mapping[str, str], credentials: Credentials | None) -> Headers:
    headers = Headers({name: [value] for name, value in given.items()})
    if credentials is not None:
        headers.setRawHeaders(b"Authorization", [credentials.header()])
    return headers


def _cause(failed: BaseException) -> HttpCause:
    """What went wrong, of what Twisted raises: the reasons are wrapped in lists of Failures."""
    if isinstance(failed, DNSLookupError):
        return "dns"
    if isinstance(failed, SSL.Error | CertificateError | VerificationError):
        return "tls"
    if isinstance(failed, ConnectError):
        return "connect"
    for reason in getattr(failed, "reasons", ()):
        inner = _cause(reason.value)
        if inner != "broken":
            return inner
    return "broken"
