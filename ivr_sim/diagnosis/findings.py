"""What may be wrong with a telephone, in plain words: every finding's text, in one place.

``{...}`` are facts of the case. "what" says what was seen, with its numbers; "advice" what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ivr_sim.journal import Finding
from ivr_sim.logs import redacted

__all__ = ["FINDINGS", "finding"]

LONGEST = 120  # characters of what somebody else sent

# code: (what, advice)
FINDINGS: Mapping[str, tuple[str, str]] = {
    # Nothing arrives, or by another way ------------------------------------------------------------
    "nobody_heard": (
        "In {seconds} s no packet has come from another machine.",
        "Telephones need {addresses}, port {port}, UDP, as their server. If one has that already: let UDP "
        "port {port} and the ports {rtp} through this machine's firewall; leave a guest Wi-Fi, which keeps "
        "its guests apart; switch off a VPN, or use an address of the telephone's own network.",
    ),
    "tls_only": (
        "{host} tries an encrypted connection (TLS) on port {knocked}; UDP and TCP are served.",
        "Set the transport of the telephone's account to UDP or TCP, the port to {port}, and addresses to "
        "sip:, not sips:. Or have TLS served: IVR_SIM_TLS_PORT=5061.",
    ),
    # Registering ------------------------------------------------------------------------------------
    "unknown_user": (
        "{host} wants to {deed} as {user}; there is no such account.",
        "The accounts are {accounts}. Put one of them into the telephone, as user name and, where it asks "
        "for one, as authentication name.",
    ),
    "wrong_password": (
        "{host} wants to {deed} as {user}; the password is wrong.",
        "Type the password of {user} as it is printed at the start. Telephones like to add a capital letter "
        "or a space.",
    ),
    "wrong_domain": (
        "{host}, as {user}, wants to {deed} at the domain {given}; here it is {domain}.",
        "Set the telephone's domain or SIP server to {addresses}. If telephones have to reach this machine "
        "as {given}, start with --advertise {given}.",
    ),
    "wrong_realm": (
        "{host}, as {user}, gives credentials for the realm {given}; here it is {domain}.",
        "Leave the realm in the telephone's account empty, or set it to {domain}.",
    ),
    "no_credentials": (
        "{host}, as {user}, was asked for a password and has given none in {seconds} s.",
        "Put the password of {user} into the telephone, and {user} as authentication name; leave its realm "
        "empty, or set it to {domain}. If they are there, our answers do not reach it: look at the firewalls "
        "on the way.",
    ),
    "other_user": (
        "{host} wants to {deed} as {account} with the credentials of {user}.",
        "User name and authentication name in the telephone must be the same account.",
    ),
    "bad_credentials": (
        "{host}, as {user}, gives credentials that cannot be used: not Digest with MD5, or incomplete.",
        "Set the telephone's authentication to Digest with MD5.",
    ),
    "registration_too_brief": (
        "{host}, as {user}, asked to be registered for less than 10 s, was told so, and has not asked again.",
        "Set the expiry of the telephone's registration to 60 s or more.",
    ),
    "registration_expired": (
        "{user} at {host} has not renewed its registration: no call reaches it.",
        "Is the telephone closed, asleep, or in another network? Open it and let it register; on a mobile, "
        "take it out of battery saving.",
    ),
    "other_address": (
        "{user} calls from {host}, and has registered from {registered}.",
        "The telephone has changed networks, or has two (Wi-Fi and mobile, a VPN): let it register again, or "
        "calls to it go to {registered}.",
    ),
    # Calls that do not come up ------------------------------------------------------------------------
    "nobody_there": (
        "{user} dials {number}, and no telephone is registered as that.",
        "Register a telephone as {number}, or dial a number of the IVR.",
    ),
    "no_line": (
        "{user} dials {number}, and no line of the IVR is registered.",
        "Wait until the IVR has started. If it stays so, start it again and look at the log.",
    ),
    "srtp_only": (
        "The telephone of {user} offers encrypted audio only ({offered}); plain RTP (RTP/AVP) is taken.",
        "Switch off media encryption (SRTP, ZRTP or DTLS) in the telephone's account, or set it to optional. "
        "Or have SRTP taken: IVR_SIM_SRTP=allowed.",
    ),
    "srtp_missing": (
        "The telephone of {user} offers audio in the clear ({offered}); encrypted audio is required here.",
        "Set media encryption in the telephone's account to SRTP (also called SDES), and its transport to "
        "TLS. Or take both kinds: IVR_SIM_SRTP=allowed.",
    ),
    "srtp_keys": (
        "The telephone of {user} offers encrypted audio ({offered}) without a key that can be used.",
        "Set media encryption in the telephone's account to SRTP with SDES keys and AES_CM_128_HMAC_SHA1_80; "
        "DTLS-SRTP and ZRTP are not spoken.",
    ),
    "no_common_codec": (
        "The telephone of {user} offers {offered}; PCMU and PCMA are taken.",
        "Switch on PCMU (G.711 µ-law) or PCMA (G.711 A-law) among the telephone's audio codecs.",
    ),
    "no_audio_offered": (
        "The telephone of {user} offers no audio: {offered}.",
        "Place an audio call, not a video call or a message.",
    ),
    "offer_refused": (
        "The call of {user} cannot be taken ({status}): {reason}.",
        "The telephone has to offer audio by PCMU or PCMA over RTP, with an IPv4 address.",
    ),
    "no_ack": (
        "The telephone has not confirmed our answer in {seconds} s (no ACK); the call is cut 32 s after the "
        "answer.",
        "It sends the confirmation to an address that it cannot reach. If that is this machine's, start with "
        "--advertise and the address that telephones can reach; behind a PBX, look at its NAT settings.",
    ),
    # Audio ------------------------------------------------------------------------------------------
    "no_rtp": (
        "{seconds} s after the answer, no audio has come from the telephone.",
        "A telephone that is muted may send none, and its keys work all the same if it sends them by RFC "
        "4733 or SIP INFO. Otherwise give it the right to use the microphone, and let the UDP ports {rtp} "
        "through the firewalls.",
    ),
    "no_rtp_other_address": (
        "{seconds} s after the answer, no audio has come from the telephone: it calls from {host}, and names "
        "{given} for its audio.",
        "It takes {given} for its own address: choose its network card in its settings, or switch off a VPN, "
        "its STUN or its public address. Our audio goes to {given} until some of its own comes.",
    ),
    "rtp_from_stranger": (
        "Audio comes from {stranger} and is refused: the call comes from {host}, and names {given}.",
        "A VPN or a second network card sends the telephone's audio another way: switch that off, or let the "
        "telephone name the address that it sends from.",
    ),
    "rtp_unusable": (
        "{count} packets have come in the {seconds} s since the answer, and none is {codec} audio.",
        "Switch off media encryption (SRTP, ZRTP) in the telephone, and let it send the codec agreed upon.",
    ),
    # Keys -------------------------------------------------------------------------------------------
    "no_telephone_event": (
        "The telephone offers no telephone-event (RFC 4733): keys can come as tones or by SIP INFO only.",
        "If keys are not heard, set DTMF in the telephone to RFC 4733 (also called RFC 2833, RTP or AVT).",
    ),
    "keys_too_short": (
        "{count} key tones were too short, {duration} ms; 40 ms are sure to be taken.",
        "Press longer, or set the telephone's DTMF duration to 100 ms; best set DTMF to RFC 4733.",
    ),
    "keys_too_weak": (
        "{count} key tones were too weak, {level} dBm0.",
        "Raise the level at which the telephone sends; tones that go through a microphone are too weak. Best "
        "set DTMF to RFC 4733.",
    ),
    "keys_twist": (
        "{count} key tones had too much twist: their high tone lies {twist} dB from the low one.",
        "An equaliser, a codec or an adapter on the way favours one of them. Set DTMF to RFC 4733, or use "
        "PCMU or PCMA all the way.",
    ),
    "keys_frequency": (
        "{count} key tones were off their frequencies: more than 1.8 % is not sure to be taken.",
        "The telephone's tones are wrong, or its sampling rate is: 8,000 Hz is the one of PCMU and PCMA. Set "
        "DTMF to RFC 4733.",
    ),
    "keys_purity": (
        "{count} key tones were not taken, for too much else sounded with them.",
        "A voice, music or noise on the line covers the tones, or something distorts them. Mute the "
        "microphone while pressing keys, or set DTMF to RFC 4733.",
    ),
    "no_keys": (
        "Audio comes from the telephone, and no key was heard when one was asked for.",
        "If keys were pressed: set DTMF in the telephone to RFC 4733 (also called RFC 2833) or SIP INFO; "
        "noise suppression and echo cancelling spoil tones in the audio.",
    ),
}


def finding(code: str, **facts: object) -> Finding:
    """A finding of the table; what came from outside is made printable and short, card numbers hidden."""
    what, advice = FINDINGS[code]
    said = {name: _shown(fact) for name, fact in facts.items()}
    return Finding(code=code, what=what.format(**said), advice=advice.format(**said))


def _shown(fact: object) -> str:
    text = redacted(str(fact))
    text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
