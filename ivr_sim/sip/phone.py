"""The phone with pyVoIP's face: programs written for pyVoIP 1.6 run on our SIP and media.

    from pyVoIP.VoIP import VoIPPhone, CallState, InvalidStateError         # as they are
    from ivr_sim.sip.phone import VoIPPhone, CallState, InvalidStateError   # all that changes

A thin layer over :class:`ivr_sim.sip.user_agent.UserAgent`. What blocks in pyVoIP blocks here too, but only
outside of the reactor's thread; inside, nothing does: ``start`` and ``stop`` return a Deferred there.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any

import structlog
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import blockingCallFromThread
from twisted.python import threadable
from twisted.python.failure import Failure

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media import MediaEngine, NoPortFree
from ivr_sim.sip.address import Address
from ivr_sim.sip.audio import Audio
from ivr_sim.sip.pyvoip import (
    BaseCall,
    BaseClient,
    BasePhone,
    CallState,
    InvalidAccountInfoError,
    InvalidRangeError,
    InvalidStateError,
    Message,
    NoPortsAvailableError,
    PhoneStatus,
)
from ivr_sim.sip.reactor_thread import run_in_thread
from ivr_sim.sip.registration import RegistrationRefused
from ivr_sim.sip.session import Session
from ivr_sim.sip.states import Ended, SessionState
from ivr_sim.sip.user_agent import UserAgent

__all__ = [
    "AccountRefused",
    "Call",
    "CallState",
    "Client",
    "InvalidRangeError",
    "InvalidStateError",
    "NoPortsAvailableError",
    "Phone",
    "PhoneStatus",
    "SIPClient",
    "VoIPCall",
    "VoIPPhone",
]

log = structlog.get_logger(__name__)

_STATES = {
    SessionState.DIALING: CallState.DIALING,
    SessionState.RINGING: CallState.RINGING,
    SessionState.ANSWERED: CallState.ANSWERED,
    SessionState.ENDED: CallState.ENDED,
}


class AccountRefused(RegistrationRefused, InvalidAccountInfoError):
    """User or password are wrong: ours and pyVoIP's exception in one."""


class Client(BaseClient):
    """pyVoIP's SIPClient, replaced below its constructor: a user agent instead of a polling thread.

    Its socket loop answers no request that it cannot parse, and sends replies to the registrar instead of
    where the request came from; it knows no transactions, so that every repeated INVITE is a new call.
    """

    phone: Phone
    agent: UserAgent | None = None

    def start(self) -> None:
        """Listen and register."""
        self.phone.cross(self.listen)

    def stop(self) -> None:
        """Hang up, de-register and close."""
        self.phone.cross(self.close)

    def listen(self) -> Deferred[None]:
        """Listen and register, on the reactor's thread; fires when registered."""
        phone = self.phone
        self.agent = UserAgent(
            phone.reactor,
            phone.take_engine(),
            server=Address(self.server, self.port),
            username=self.username,
            password=self.password,
            host=self.myIP,
            port=self.myPort,
            on_call=phone.ring,
        )
        return self.agent.start()

    def close(self) -> Deferred[None]:
        """Hang up, de-register and close, on the reactor's thread."""
        agent, self.agent = self.agent, None
        return succeed(None) if agent is None else agent.stop()


class Call(BaseCall):
    """pyVoIP's VoIPCall over one of our sessions, which is its ``session``.

    Replaced: answering (pyVoIP answers a repeated INVITE anew, takes none without an offer, and lists all
    codecs), hanging up (its BYE goes to a wrong address, once), CANCEL (it has none; here ``hangup`` of a
    call that still dials sends it), and the media, two threads a call around 8-bit sound. For its programs
    ``read_audio`` and ``write_audio`` keep its unsigned 8-bit PCM; nothing of ours uses them.
    """

    phone: Phone

    def __init__(self, phone: Phone, session: Session, audio: Audio | None = None) -> None:
        self.session = session
        self._audio = Audio(self.dtmf_callback) if audio is None else audio
        ms: dict[int, Any] = {session.stream.local_port: {}}  # as of a call that dials: it makes no RTPClient
        super().__init__(
            phone,
            CallState.DIALING,
            Message(session),
            phone.sip.sessID.next(),
            phone.myIP,
            ms=ms,
        )

    def __del__(self) -> None:
        """Nothing: pyVoIP's takes a lock from the garbage collector."""

    @property
    def state(self) -> CallState:
        """DIALING, RINGING, ANSWERED or ENDED."""
        if self.session.state is SessionState.RINGING and not self.session.incoming:
            return CallState.DIALING
        return _STATES[self.session.state]

    @state.setter
    def state(self, value: CallState) -> None:
        """pyVoIP's constructor sets it; the session knows better."""

    def answer(self) -> None:
        """Take the call. Raises InvalidStateError unless it rings."""
        self._do(self.session.answer, self._audio)

    def deny(self) -> None:
        """Refuse the call as busy. Raises InvalidStateError unless it rings."""
        self._do(self.session.reject, 486)

    def hangup(self) -> None:
        """End an answered call, or one that still dials. Raises InvalidStateError: it rings, or is over."""
        if self.state in (CallState.RINGING, CallState.ENDED):
            raise InvalidStateError("Call is not answered")
        self._do(self.session.hang_up)

    def write_audio(self, data: bytes) -> None:
        """Say unsigned 8-bit PCM at 8 kHz, after what is being said; returns at once."""
        self._audio.write(data)

    def read_audio(self, length: int = 160, blocking: bool = True) -> bytes:
        """What was heard, as unsigned 8-bit PCM at 8 kHz.

        ``blocking`` waits for so many bytes, or for the call's end; otherwise, and on the reactor's thread
        always, silence stands for what has not come yet.
        """
        return self._audio.read(length, blocking and not self.phone.on_reactor)

    def over(self, how: Ended) -> None:
        """Called when the session has ended."""
        self._audio.close()
        self.phone.calls.pop(self.call_id, None)

    def _do(self, action: Callable[..., None], *args: Any) -> None:
        try:
            self.phone.cross(action, *args)
        except LocalProtocolError as error:
            raise InvalidStateError(str(error)) from error


class Phone(BasePhone):
    """pyVoIP's VoIPPhone on the reactor.

    The first nine arguments are pyVoIP's. A plain ``callCallback`` gets a daemon thread of its own; a
    coroutine function runs on the reactor, with the same Call, and awaits what ``call.session`` offers.
    reactor: one that its owner runs; without it the global one is started in a daemon thread. engine: the
    media of this process; without it the phone has one of its own, on rtpPortLow to rtpPortHigh.

    What is replaced of pyVoIP 1.6.8, and why: sockets and threads (three a call; beyond a hundred calls they
    starve), parsing (compact headers, folded lines, an unused rtpmap: such an INVITE gets no answer),
    transactions (there are none), REGISTER (deaf to calls meanwhile; no 407), ACK and BYE (wrong tags,
    Request-URI and route), the SDP answer (several codecs, no 488, hold ignored), ports (never given back,
    odd ones too), and RTP (8-bit sound, A-law sent as mu-law, one packet can claim two gigabytes).
    """

    sip: Client

    def __init__(
        self,
        server: str,
        port: int,
        username: str,
        password: str,
        myIP: str = "0.0.0.0",  # noqa: S104  pyVoIP's default
        callCallback: Callable[[Any], Any] | None = None,
        sipPort: int = 5060,
        rtpPortLow: int = 10000,
        rtpPortHigh: int = 20000,
        *,
        reactor: Any = None,
        engine: MediaEngine | None = None,
    ) -> None:
        super().__init__(
            server, port, username, password, myIP, callCallback, sipPort, rtpPortLow, rtpPortHigh
        )
        self.sip = Client(server, port, username, password, phone=self, myIP=myIP, myPort=sipPort)
        self._owned = reactor is None
        if reactor is None:
            from twisted.internet import reactor
        self.reactor: Any = reactor
        self._engine = engine
        self._own_engine: MediaEngine | None = None

    def start(self) -> Any:
        """Register. Raises AccountRefused or RegistrationRefused, CannotListen.

        On the reactor's thread it returns a Deferred instead of waiting.
        """
        if self._owned:
            run_in_thread(self.reactor)
        return self.cross(self._start)

    def stop(self, failed: bool = False) -> Any:
        """Hang up all calls, de-register, and close; on the reactor's thread with a Deferred."""
        return self.cross(self._stop, PhoneStatus.FAILED if failed else PhoneStatus.INACTIVE)

    def call(self, number: str) -> Any:
        """Call a number or a SIP URI. Raises NoPortsAvailableError; InvalidStateError unless started."""
        return self.cross(self._call, number)

    @property
    def on_reactor(self) -> bool:
        """Whether this is the thread on which the reactor runs; a reactor without threads is its caller's."""
        return threadable.isInIOThread() or not IReactorFromThreads.providedBy(self.reactor)

    def cross(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function on the reactor's thread; from another one, wait for its result."""
        if self.on_reactor:
            return function(*args)
        return blockingCallFromThread(self.reactor, function, *args)

    def take_engine(self) -> MediaEngine:
        """The engine to be used, one of our own if need be."""
        if self._engine is not None:
            return self._engine
        if self._own_engine is None:
            self._own_engine = MediaEngine(
                self.reactor, host=self.myIP, ports=(self.rtpPortLow, self.rtpPortHigh)
            )
            self._own_engine.start()
        return self._own_engine

    def ring(self, session: Session) -> None:
        """A call comes in."""
        if self.callCallback is None:
            session.reject(486)
            return
        call = self._took(Call(self, session))
        if inspect.iscoroutinefunction(self.callCallback):
            running = Deferred.fromCoroutine(self.callCallback(call))
            running.addErrback(self._callback_failed, call)
        else:
            name = f"Phone Call: {call.call_id}"
            threading.Thread(target=self._attend, args=(call,), name=name, daemon=True).start()

    def _attend(self, call: Call) -> None:
        try:
            attend: Any = self.callCallback
            attend(call)
        except Exception:
            self._callback_failed(Failure(), call)

    def _callback_failed(self, failure: Failure, call: Call) -> None:
        """Whoever attended the call has failed: it must not ring or stay open for ever."""
        # With its message, which is its programmer's, but never with variables: they may hold keys.
        log.error("the callback of a call failed", call=call.call_id, exception=failure.getTraceback())
        self.cross(call.session.hang_up)

    def _took(self, call: Call) -> Call:
        self.calls[call.call_id] = call
        call.session.ended.addCallback(call.over)
        return call

    def _start(self) -> Deferred[None]:
        self._status = PhoneStatus.REGISTERING
        return self.sip.listen().addCallbacks(self._registered, self._refused)

    def _registered(self, result: None) -> None:
        self._status = PhoneStatus.REGISTERED
        self.NSD = True

    def _refused(self, failure: Failure) -> Any:
        stopped = self._stop(PhoneStatus.FAILED)
        error = failure.value
        if isinstance(error, RegistrationRefused) and error.status in (401, 403, 407):
            failure = Failure(AccountRefused(error.status, error.reason, Address(self.server, self.port)))
        return stopped.addCallback(lambda result: failure)

    def _stop(self, status: PhoneStatus) -> Deferred[None]:
        self._status = PhoneStatus.DEREGISTERING
        self.NSD = False
        return self.sip.close().addCallback(self._stopped, status)

    def _stopped(self, result: None, status: PhoneStatus) -> None:
        self._status = status
        engine, self._own_engine = self._own_engine, None
        if engine is not None:
            engine.stop()

    def _call(self, number: str) -> Call:
        keys: list[Callable[[str], None]] = []
        audio = Audio(lambda digit: keys[0](digit))
        agent = self.sip.agent
        if agent is None:
            raise InvalidStateError("Phone is not started")
        try:
            session = agent.dial(number, audio)
        except NoPortFree as error:
            raise NoPortsAvailableError(str(error)) from error
        call = Call(self, session, audio)
        keys.append(call.dtmf_callback)
        return self._took(call)


# Under the names that pyVoIP's programs import.
VoIPPhone = Phone
VoIPCall = Call
SIPClient = Client
