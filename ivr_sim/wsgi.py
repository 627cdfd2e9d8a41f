"""A WSGI application on the reactor, with a thread pool of its own.

twisted.web reads the requests and the pool runs the application, so a slow handler holds up neither
calls nor other applications.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING, Any

import structlog
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.threadpool import ThreadPool
from twisted.web.server import Request, Site
from twisted.web.wsgi import WSGIResource

from ivr_sim.errors import ConfigurationError, LocalProtocolError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["WebServer"]

log = structlog.get_logger(__name__)

MAX_BODY = 1 << 20  # bytes kept of a request; applications have lower limits of their own
IDLE_TIMEOUT = 30  # seconds that a silent connection is kept
GRACE = 2.0  # seconds that requests under way get to finish when the server stops


class WebServer:
    """One Flask (or other WSGI) application on a TCP port.

    ``port`` 0 takes any free port; ``port`` and ``url`` tell which, once started. ``threads`` bounds
    how many requests run at a time, the others wait in line. All methods belong to the reactor thread.
    """

    def __init__(
        self,
        reactor: Any,
        app: WSGIApplication,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        threads: int = 8,
        name: str = "",
    ) -> None:
        self._reactor = reactor
        self._app = app
        self._host = host
        self._wanted = port
        self._threads = threads
        self._name = name or "web"
        self._port: int | None = None
        self._listening: Any = None
        self._stopped: Deferred[None] | None = None

    @property
    def port(self) -> int:
        """The TCP port that it listens on. Raises LocalProtocolError before ``start``."""
        if self._port is None:
            raise LocalProtocolError(f"the {self._name} server has no port before start()")
        return self._port

    @property
    def url(self) -> str:
        """``http://host:port``, without a slash at the end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    def start(self) -> None:
        """Listen. Raises ConfigurationError when the address cannot be had."""
        if self._listening is not None:
            raise LocalProtocolError(f"the {self._name} server was started before")
        pool = ThreadPool(minthreads=0, maxthreads=self._threads, name=self._name)
        # Daemons: a handler that never returns must not keep the process from ending.
        pool.threadFactory = lambda *args, **kwargs: Thread(*args, **kwargs, daemon=True)  # type: ignore[assignment]
        site = _Site(WSGIResource(self._reactor, pool, self._app))
        connections = _Connections(site)
        try:
            self._listening = self._reactor.listenTCP(
                self._wanted, connections, backlog=256, interface=self._host
            )
        except CannotListenError as failed:
            raise ConfigurationError(self._why_not(failed)) from None
        self._port = int(self._listening.getHost().port)
        self._pool, self._site, self._connections = pool, site, connections
        pool.start()

    def stop(self) -> Deferred[None]:
        """Stop listening, let requests under way finish (2 s), close connections, end the threads.

        Fires when all of that is done; calling it again, or before ``start``, does no harm.
        """
        done: Deferred[None] = Deferred()
        if self._listening is None:
            done.callback(None)
        elif self._stopped is None:
            self._stopped = Deferred.fromCoroutine(self._stop())
            self._stopped.addErrback(lambda failure: log.error("web server stop", error=str(failure.value)))
            self._stopped.chainDeferred(done)
        else:
            self._stopped.addCallback(lambda _: done.callback(None))
        return done

    async def _stop(self) -> None:
        await self._listening.stopListening()
        await self._wait(lambda: not self._site.active, GRACE)
        self._connections.close()
        await self._wait(lambda: not self._connections.protocols, GRACE / 2)
        self._connections.abort()
        await self._wait(lambda: not self._connections.protocols, GRACE / 2)
        # Joining the threads blocks, and one that still writes needs the reactor: so not from here.
        joiner = Thread(target=self._pool.stop, name=f"{self._name}-stop", daemon=True)
        joiner.start()
        await self._wait(lambda: not joiner.is_alive(), GRACE)
        if joiner.is_alive():
            log.warning("a request handler did not return; its thread is abandoned", server=self._name)

    async def _wait(self, ready: Callable[[], bool], seconds: float) -> None:
        deadline = self._reactor.seconds() + seconds
        while not ready() and self._reactor.seconds() < deadline:
            await task.deferLater(self._reactor, 0.01)

    def _why_not(self, failed: CannotListenError) -> str:
        where = f"{self._host}:{self._wanted}"
        match failed.socketError.errno:
            case errno.EADDRINUSE:
                return f"port {where} for {self._name} is in use; choose another port, or 0 for any free one"
            case errno.EACCES:
                return f"port {where} for {self._name} needs privileges; choose one above 1023, or 0"
            case _:
                return f"{self._name} cannot listen on {where}: {failed.socketError}; check the host"


class _Request(Request):
    """A request whose body is bounded in memory and always has a length, chunked or not."""

    _received = 0

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        # What is over the limit is counted but not kept: the length tells the application.
        room = MAX_BODY - self._received
        self._received += len(data)
        if room > 0:
            super().handleContentChunk(data[:room])

    def process(self) -> None:
        site: Any = self.channel.site  # type: ignore[attr-defined]
        site.active.add(self)
        self.notifyFinish().addBoth(lambda _: site.active.discard(self))
        # WSGI cannot tell a chunked body's end; its length is known by now.
        if self.requestHeaders.hasHeader(b"transfer-encoding"):
            self.requestHeaders.removeHeader(b"transfer-encoding")
            self.requestHeaders.setRawHeaders(b"content-length", [str(self._received).encode()])
        super().process()


class _Site(Site):
    """A site that keeps no access log, shows no traceback, and knows the requests under way."""

    displayTracebacks = False  # noqa: N815

    def __init__(self, resource: WSGIResource) -> None:
        super().__init__(
            resource,
            requestFactory=_Request,
            timeout=IDLE_TIMEOUT,
            parsePOSTFormSubmission=False,  # the application parses bodies, and answers for bad ones
        )
        self.active: set[Request] = set()

    def log(self, request: object) -> None:
        """Nothing: what matters is in the journal, and a request line may hold what should not be kept."""


class _Connections(WrappingFactory[ProtocolWrapper]):
    """Knows the open connections, so that they can be closed at the end."""

    noisy = False

    def close(self) -> None:
        for protocol in list(self.protocols):
            protocol.loseConnection()

    def abort(self) -> None:
        for protocol in list(self.protocols):
            protocol.abortConnection()
