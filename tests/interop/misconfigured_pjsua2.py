"""A pjsua2 softphone that is set up wrongly: it registers, dials 5000 if it can, and ends.

    misconfigured_pjsua2.py PORT USER PASSWORD [tcp] [tls AUTHORITIES] [srtp] [g722] [long]

tcp, tls: its only transport. srtp: mandatory. g722: its only codec. long: requests beyond 1300 bytes, by UDP
or TCP. It prints ``registration STATUS REASON`` and ``call STATUS REASON``.
"""

from __future__ import annotations

import os
import sys
import time

import pjsua2 as pj


class Line(pj.Call):
    """One call; ``final`` is what came of it."""

    final = ""

    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: N802  pjsua2's name
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.final = f"{info.lastStatusCode} {info.lastReason}"


def main() -> None:
    port, user, password, *wrong = sys.argv[1:]
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = config.logConfig.consoleLevel = 0
    endpoint.libInit(config)
    if "tls" in wrong:
        encrypted = pj.TransportConfig()
        encrypted.tlsConfig.CaListFile = wrong[wrong.index("tls") + 1]
        encrypted.tlsConfig.verifyServer = True
        endpoint.transportCreate(pj.PJSIP_TRANSPORT_TLS, encrypted)
    elif "tcp" not in wrong:
        endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, pj.TransportConfig())
    if "tcp" in wrong or "long" in wrong:
        endpoint.transportCreate(pj.PJSIP_TRANSPORT_TCP, pj.TransportConfig())
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    if "g722" in wrong:
        for codec in endpoint.codecEnum2():
            endpoint.codecSetPriority(codec.codecId, 200 if codec.codecId.startswith("G722/") else 0)

    settings = pj.AccountConfig()
    settings.idUri = f"sip:{user}@127.0.0.1:{port}"
    server = f"127.0.0.1:{port}" + "".join(f";transport={by}" for by in ("tcp", "tls") if by in wrong)
    settings.regConfig.registrarUri = f"sip:{server}"
    settings.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, password))
    if "srtp" in wrong:
        settings.mediaConfig.srtpUse = pj.PJMEDIA_SRTP_MANDATORY
        settings.mediaConfig.srtpSecureSignaling = 0
    account = pj.Account()
    account.create(settings)

    def until(done: object) -> None:
        end = time.monotonic() + 10
        while not done() and time.monotonic() < end:  # type: ignore[operator]
            endpoint.libHandleEvents(20)

    until(lambda: account.getInfo().regStatus > 100)
    info = account.getInfo()
    print("registration", info.regStatus, info.regStatusText, flush=True)
    if info.regStatus == 200:
        call = Line(account)
        options = pj.CallOpParam(True)
        options.opt.videoCount = 0
        if "long" in wrong:
            header = pj.SipHeader()
            header.hName, header.hValue = "X-Long", "a" * 1300
            options.txOption.headers.append(header)
        call.makeCall(f"sip:5000@{server}", options)
        until(lambda: call.final)
        print("call", call.final, flush=True)
        account.setRegistration(False)
        until(lambda: account.getInfo().regExpiresSec <= 0)
    os._exit(0)  # its threads would not let us go in peace


main()
