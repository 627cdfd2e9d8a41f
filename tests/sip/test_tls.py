"""The certificate that we make, and whose certificates we believe."""

from __future__ import annotations

import re
import stat
from datetime import date
from pathlib import Path

import pytest
from cryptography import x509

from ivr_sim.errors import ConfigurationError
from ivr_sim.sip.tls import Tls, self_signed

TODAY = date(2026, 11, 23)
HERE, LAN = "127.0.0.1", "192.168.1.5"


def names(certificate: Path) -> list[str]:
    extensions = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions
    named = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return list(dict.fromkeys(str(name.value) for name in named))


def test_it_is_made_once(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path / "tls", ["ivr.test", HERE, HERE], TODAY)
    assert names(certificate) == ["ivr.test", HERE]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (certificate, key)} == {0o600}
    before = certificate.read_bytes()
    assert self_signed(tmp_path / "tls", [HERE], TODAY) == (certificate, key)
    assert certificate.read_bytes() == before


def test_it_is_made_anew_for_another_address_and_keeps_the_names_it_had(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, ["ivr.test", HERE], TODAY)
    before = certificate.read_bytes()
    self_signed(tmp_path, [HERE, LAN, "::1"], TODAY)
    assert certificate.read_bytes() != before
    assert names(certificate) == ["ivr.test", HERE, LAN, "::1"]
    assert Tls(0, certificate, key).server_options() is not None  # the key goes with it


def test_addresses_are_written_as_names_too(tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path, ["ivr.test", HERE, "::1"], TODAY)
    extensions = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions
    named = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert named.get_values_for_type(x509.DNSName) == ["ivr.test", HERE]
    assert [str(address) for address in named.get_values_for_type(x509.IPAddress)] == [HERE, "::1"]


def test_one_that_cannot_be_read_is_not_written_over(tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path, [HERE], TODAY)
    certificate.write_text("mine")
    with pytest.raises(ConfigurationError, match="holds no certificate"):
        self_signed(tmp_path, [HERE], TODAY)


def test_the_fingerprint_is_written_as_telephones_write_it(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, [HERE], TODAY)
    assert re.fullmatch(r"[0-9A-F]{2}(:[0-9A-F]{2}){31}", Tls(0, certificate, key).fingerprint)
    with pytest.raises(ConfigurationError):
        _ = Tls(None).fingerprint


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, [HERE], TODAY)
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    _, other = self_signed(tmp_path / "other", ["x"], TODAY)
    cases = [
        (Tls(5061), "needs a certificate and its key"),
        (Tls(5061, tmp_path / "none.pem", key), "none.pem cannot be read"),
        (Tls(5061, empty, key), "empty.pem holds no certificate"),
        (Tls(5061, certificate, empty), "empty.pem holds no private key"),
        (Tls(5061, certificate, other), "is not the key of"),
    ]
    for tls, said in cases:
        with pytest.raises(ConfigurationError, match=said):
            tls.server_options()
    with pytest.raises(ConfigurationError, match=r"empty\.pem holds no certificate"):
        Tls(trust=empty).client_options(HERE)
