"""What SIP over TLS needs: a certificate to show, and whose certificates are believed (RFC 3261 section 26).

A server shows ``certificate``; who connects verifies it, by the authorities in ``trust``. A certificate of
our own making is its own authority: telephones that are to verify it are given that file.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL
from OpenSSL.crypto import X509
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import (
    DNS_ID,
    CertificatePattern,
    DNSPattern,
    IPAddress_ID,
    IPAddressPattern,
    verify_service_identity,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.internet.ssl import Certificate, CertificateOptions, platformTrust, trustRootFromCertificates
from zope.interface import implementer  # type: ignore[import-untyped]

from ivr_sim.errors import ConfigurationError
from ivr_sim.kept import write_private

__all__ = ["CERTIFICATE", "Tls", "self_signed"]

YEARS = 10
CERTIFICATE = "sip-certificate.pem"


@dataclass(frozen=True)
class Tls:
    """TLS of one endpoint.

    port: where connections are taken, None for nowhere; then no certificate is needed. certificate, key: PEM
    files, the certificate first in its chain. trust: a PEM file of the authorities whose certificates are
    believed, None for the system's. name: what the certificates of those that we connect to must name, None
    for the address connected to.
    """

    port: int | None = None
    certificate: Path | None = None
    key: Path | None = None
    trust: Path | None = None
    name: str | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate that is shown, as telephones and OpenSSL write it: ``AB:CD:...``.

        Raises ConfigurationError: there is none, or it cannot be read.
        """
        if self.certificate is None:
            raise ConfigurationError("SIP over TLS has no certificate here")
        return _certificates(self.certificate)[0].fingerprint(hashes.SHA256()).hex(":").upper()

    def server_options(self) -> Any:
        """For connections that come. Raises ConfigurationError: files that cannot be used."""
        if self.certificate is None or self.key is None:
            raise ConfigurationError("SIP over TLS needs a certificate and its key; set both, or neither")
        chain = _certificates(self.certificate)
        try:
            key = serialization.load_pem_private_key(_read(self.key), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigurationError(f"{self.key} holds no private key in PEM without a password") from error
        if key.public_key() != chain[0].public_key():
            raise ConfigurationError(f"{self.key} is not the key of {self.certificate}")
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.use_certificate_chain_file(str(self.certificate))
        context.use_privatekey_file(str(self.key))
        return _Server(context)

    def client_options(self, host: str) -> Any:
        """For a connection to that host, whose certificate must name it. Raises ConfigurationError."""
        trusted = platformTrust()
        if self.trust is not None:
            pems = (each.public_bytes(serialization.Encoding.PEM) for each in _certificates(self.trust))
            trusted = trustRootFromCertificates([Certificate.loadPEM(pem) for pem in pems])
        return _Client(CertificateOptions(trustRoot=trusted).getContext(), self.name or host)


@implementer(IOpenSSLServerConnectionCreator)
class _Server:
    """One OpenSSL context for all connections that come, as Twisted wants it."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:  # noqa: N802  Twisted's name
        return SSL.Connection(self._context, None)


@implementer(IOpenSSLClientConnectionCreator)
class _Client:
    """Connections to one host, whose certificate must name it (RFC 5922 section 7).

    Twisted's own check, as of 26.10, takes any certificate of a trusted authority that has a name which is
    not one, such as an address among its DNS names; here that name is passed over, and the others decide.
    """

    def __init__(self, context: SSL.Context, host: str) -> None:
        self._context = context
        self._wanted: DNS_ID | IPAddress_ID
        try:
            self._wanted = IPAddress_ID(host)
        except ValueError:
            self._wanted = DNS_ID(host)

    def clientConnectionForTLS(self, protocol: object) -> SSL.Connection:  # noqa: N802  Twisted's name
        connection = SSL.Connection(self._context, None)
        if isinstance(self._wanted, DNS_ID):
            connection.set_tlsext_host_name(self._wanted.hostname)
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._is_believed)
        return connection

    def _is_believed(self, _: SSL.Connection, shown: X509, error: int, depth: int, believed: int) -> bool:
        if not believed or depth:  # only the first of a chain names the host
            return bool(believed)
        try:
            verify_service_identity(_patterns(shown.to_cryptography()), [self._wanted], [])
        except (VerificationError, CertificateError):  # it names others, or nobody
            return False
        return True


def self_signed(folder: Path, names: Iterable[str], today: datetime.date) -> tuple[Path, Path]:
    """A certificate and key of our own, in ``folder``: made where there is none that has all these names.

    Names that the one before had stay in it. Valid for ten years from the day before ``today``. Raises
    ConfigurationError: they cannot be read, or written.
    """
    certificate, key = folder / CERTIFICATE, folder / "sip-key.pem"
    wanted = list(dict.fromkeys(names))
    if certificate.exists() and key.exists():
        before = _names(certificate)
        if set(wanted) <= set(before):
            return certificate, key
        wanted = list(dict.fromkeys((*before, *wanted)))
    made, private = _make(wanted, today)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(key, private)
        write_private(certificate, made)
    except OSError as error:
        raise ConfigurationError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    return certificate, key


def _make(names: list[str], today: datetime.date) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    start = datetime.datetime.combine(today, datetime.time(), datetime.UTC) - datetime.timedelta(days=1)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=365 * YEARS))
        .add_extension(
            x509.SubjectAlternativeName([one for name in names for one in _named(name)]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def _named(name: str) -> list[x509.GeneralName]:
    """A host as certificates name it. IPv4 addresses as names, too: Mbed TLS before 3.5, which Linphone
    verifies with, knows no others."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return [x509.DNSName(name)]
    return [x509.IPAddress(address), *([x509.DNSName(name)] if address.version == 4 else [])]


def _names(certificate: Path) -> list[str]:
    """The hosts that a certificate is for."""
    return [str(name.value) for name in _alternative_names(_certificates(certificate)[0])]


def _alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _patterns(certificate: x509.Certificate) -> list[CertificatePattern]:
    """What a certificate is for, as far as it can be read."""
    patterns: list[CertificatePattern] = []
    for name in _alternative_names(certificate):
        with contextlib.suppress(CertificateError, ValueError):
            if isinstance(name, x509.DNSName):
                patterns.append(DNSPattern.from_bytes(name.value.encode()))
            elif isinstance(name, x509.IPAddress):
                patterns.append(IPAddressPattern(ipaddress.ip_address(str(name.value))))
    return patterns


def _certificates(path: Path) -> list[x509.Certificate]:
    """All certificates of a PEM file."""
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise ConfigurationError(f"{path} holds no certificate in PEM") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
