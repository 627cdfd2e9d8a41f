"""All checks in their order: what later ones build on comes first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from ivr_sim.doctor import machine, network, sockets, surroundings
from ivr_sim.doctor.beat import beat, lateness
from ivr_sim.doctor.check import Check
from ivr_sim.doctor.encryption import encryption
from ivr_sim.doctor.self_call import self_call, verdict
from ivr_sim.doctor.voice import prompts, voice
from ivr_sim.node import local_now
from ivr_sim.served import AUTHORIZER, OPENPAY, SIP
from ivr_sim.settings import Settings
from ivr_sim.sip.transport import local_host

__all__ = ["examine"]

EVERYWHERE, LOOPBACK = "0.0.0.0", "127.0.0.1"  # noqa: S104  as serve --lan listens
SOMEBODY = "192.0.2.1"  # RFC 5737: the way to it is the default route


async def examine(
    reactor: Any, settings: Settings, data: Path, environ: Mapping[str, str], tell: Callable[[Check], None]
) -> None:
    """Examine this machine for ``ivr-sim serve`` with these settings.

    data: the data folder, which need not be there and is not made. tell: gets each check as it is made.
    """
    sip_port = SIP if settings.sip_port is None else settings.sip_port
    tell(machine.python())
    tell(machine.packages())
    tell(machine.data_folder(data))
    tell(machine.descriptors(machine.soft_limit()))
    tell(machine.clock(datetime.now().astimezone(), local_now()))
    tell(machine.proxies(environ))
    tell(surroundings.isolation(settings, sip_port))
    found, routed = network.interfaces(), local_host(EVERYWHERE, SOMEBODY)
    tell(network.addresses(settings, found, routed, ipv6=network.speaks_ipv6()))
    tell(surroundings.firewall(settings, sip_port))
    here = EVERYWHERE if settings.lan else LOOPBACK
    for service in _services(settings, here, sip_port):
        tell(sockets.service_port(service))
    tell(sockets.rtp_range(here, settings.rtp_first, settings.rtp_last))
    tell(encryption(settings))
    tell(prompts(reactor, data, settings.language))
    tell(await voice(reactor, settings.language))
    tell(lateness(await beat(reactor)))
    hosts = [LOOPBACK]
    lan = network.lan_address(found, routed) if settings.lan else None
    if lan is not None:
        hosts.append(lan)
    calls = [Deferred.fromCoroutine(self_call(reactor, settings, host)) for host in hosts]
    results: Any = await DeferredList(calls, consumeErrors=True)  # interrupted, all of them hang up
    for went, call in results:
        if not went:
            call.raiseException()
        tell(verdict(call))


def _services(settings: Settings, here: str, sip_port: int) -> list[sockets.Service]:
    services = [sockets.Service("SIP", "UDP", here, sip_port, settings.sip_port is not None)]
    for name, default, wanted, elsewhere in (
        ("authorizer", AUTHORIZER, settings.authorizer_port, settings.authorizer),
        ("Openpay stand-in", OPENPAY, settings.openpay_port, settings.openpay),
    ):
        if elsewhere is None:
            port = default if wanted is None else wanted
            services.append(sockets.Service(name, "TCP", settings.http_host, port, wanted is not None))
    return services
