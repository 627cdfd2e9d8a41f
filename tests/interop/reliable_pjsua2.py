"""A pjsua2 telephone that insists: its ringing must be acknowledged (100rel), and calls must be refreshed.

    reliable_pjsua2.py PORT USER PASSWORD

It registers, prints ``ready``, rings for a second when called, and answers. It prints ``PRACK`` when the
ringing was acknowledged, ``held`` and ``resumed`` when it is told so, and ends with the call, printing
``ended STATUS``.
"""

from __future__ import annotations

import os
import sys
import time

import pjsua2 as pj


class Line(pj.Call):
    """The call; answered a second after it began to ring."""

    over = False
    held = False

    def __init__(self, account: pj.Account, number: int) -> None:
        super().__init__(account, number)
        self.answer_at = time.monotonic() + 1.0

    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:  # noqa: N802  pjsua2's name
        about = prm.e.body.tsxState
        if about.tsx.method == "PRACK" and about.type == pj.PJSIP_EVENT_RX_MSG:
            print("PRACK", flush=True)

    def onCallMediaState(self, _prm: object) -> None:  # noqa: N802
        info = self.getInfo()  # must outlive what is read of it
        status = info.media[0].status
        if status == pj.PJSUA_CALL_MEDIA_REMOTE_HOLD and not self.held:
            self.held = True
            print("held", flush=True)
        elif status == pj.PJSUA_CALL_MEDIA_ACTIVE and self.held:
            self.held = False
            print("resumed", flush=True)

    def onCallState(self, _prm: object) -> None:  # noqa: N802
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            print("ended", int(info.lastStatusCode), flush=True)
            self.over = True


class Phone(pj.Account):
    """The account; its one call."""

    call: Line | None = None

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802
        self.call = Line(self, prm.callId)
        self.call.answer(said(180))


def said(status: int) -> pj.CallOpParam:
    options = pj.CallOpParam(True)
    options.statusCode = status
    options.opt.videoCount = 0
    return options


def main() -> None:
    port, user, password = sys.argv[1:]
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = config.logConfig.consoleLevel = 0
    config.uaConfig.threadCnt = 0
    endpoint.libInit(config)
    transport = pj.TransportConfig()
    transport.boundAddress = transport.publicAddress = "127.0.0.1"
    endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    settings = pj.AccountConfig()
    settings.idUri = f"sip:{user}@127.0.0.1:{port}"
    settings.regConfig.registrarUri = f"sip:127.0.0.1:{port}"
    settings.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, password))
    settings.natConfig.contactRewriteUse = 0
    settings.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    settings.callConfig.prackUse = pj.PJSUA_100REL_MANDATORY
    settings.callConfig.timerUse = pj.PJSUA_SIP_TIMER_ALWAYS
    settings.callConfig.timerMinSESec = settings.callConfig.timerSessExpiresSec = 90
    phone = Phone()
    phone.create(settings)
    ready = False
    end = time.monotonic() + 60
    while time.monotonic() < end and not (phone.call and phone.call.over):
        endpoint.libHandleEvents(10)
        if not ready and phone.getInfo().regStatus == 200:
            ready = True
            print("ready", flush=True)
        if phone.call and not phone.call.over and 0 < phone.call.answer_at <= time.monotonic():
            phone.call.answer_at = 0.0
            phone.call.answer(said(200))
    os._exit(0)


main()
