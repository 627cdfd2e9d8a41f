"""Settings: flags before the environment before the file before defaults, and errors that help."""

from __future__ import annotations

import socket

import pytest
from twisted.internet.testing import MemoryReactorClock

from ivr_sim.errors import ConfigurationError
from ivr_sim.ports import choose
from ivr_sim.served import prepare
from ivr_sim.settings import load


def test_what_comes_first_wins(tmp_path):
    file = tmp_path / "ivr-sim.toml"
    file.write_text('shop = "Uno"\nsip_port = 5070\nlan = true\nlanguage = "en-US"\n')
    environ = {
        "IVR_SIM_SHOP": "Dos",
        "IVR_SIM_SIP_PORT": "5080",
        "PATH": "/bin",
        "IVR_SIM_LOG_LEVEL": "DEBUG",
    }
    settings, sources = load({"shop": "Tres", "lan": None}, environ, file)
    assert (settings.shop, settings.sip_port, settings.lan, settings.language) == (
        "Tres",
        5080,
        True,
        "en-US",
    )
    assert sources["shop"] == "the command line"
    assert sources["sip_port"] == "the environment"
    assert sources["lan"] == str(file)
    assert "http_host" not in sources


def test_a_file_in_the_folder_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load({}, {})[0].shop == "Tienda Demo"
    (tmp_path / "ivr-sim.toml").write_text('shop = "Aquí"\n', encoding="utf-8")
    assert load({}, {})[0].shop == "Aquí"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sipport = 5060", "did you mean 'sip_port'"),
        ("zzz = 1", "known are"),
        ("sip_port = 99999", "sip_port cannot be used"),
        ("sip_port = [1]", "sip_port cannot be used"),
        ("sip_port = ", "is no TOML"),
        ("shop = 1", "shop cannot be used"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, said):
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        load({}, {}, file)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load({}, {}, tmp_path / "none.toml")


def test_an_unknown_variable():
    with pytest.raises(ConfigurationError, match=r"environment: there is no setting 'langage'.*'language'"):
        load({}, {"IVR_SIM_LANGAGE": "en-US"})


def test_a_default_port_gives_way_and_a_wanted_one_does_not():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        other = choose("127.0.0.1", number, None, socket.SOCK_DGRAM)
        assert other.instead_of == number
        assert other.number != number
        assert choose("127.0.0.1", 5060, number, socket.SOCK_DGRAM).number == number
    free = choose("127.0.0.1", number, None, socket.SOCK_DGRAM)
    assert (free.number, free.instead_of) == (number, None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tls_port": 0, "tls_key": "k.pem"}, "set both, or neither"),
        ({"tls_certificate": "c.pem", "tls_key": "k.pem"}, "set tls_port too"),
        ({"tls_port": 0, "tls_certificate": "c.pem", "tls_key": "k.pem"}, "c.pem cannot be read"),
        ({"tls_port": 0, "tls_authority": "a.pem"}, "a.pem cannot be read"),
        ({"register_at": "sips:1@127.0.0.1", "tls_authority": "a.pem"}, "a.pem cannot be read"),
    ],
)
def test_tls_that_cannot_be_served(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    settings, _ = load(given, {})
    with pytest.raises(ConfigurationError, match=said):
        prepare(MemoryReactorClock(), settings, tmp_path, {})
