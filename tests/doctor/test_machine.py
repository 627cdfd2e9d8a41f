"""Python, packages, descriptors, disk, proxies, clock: each good, doubtful and bad."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ivr_sim.doctor import machine
from ivr_sim.settings import Settings

GB = 10**9


def states(*checks: machine.Check) -> list[str]:
    assert all(check.advice for check in checks if check.state != "ok"), checks
    return [check.state for check in checks]


def test_python():
    fit, narrow, old = (
        machine.python((3, 12, 1), 64),
        machine.python((3, 12, 1), 32),
        machine.python((3, 9, 0), 64),
    )
    assert states(fit, narrow, old, machine.python()) == ["ok", "warn", "fail", "ok"]
    assert fit.what.startswith("3.12.1 (")
    assert "3.11" in old.advice


VERSIONS = {"numpy": "1.25.2", "click": "8.1", "pyVoIP": "1.6.8", "twisted": "26.4.0rc1"}


def installed(name: str) -> str:
    if name not in VERSIONS:
        raise PackageNotFoundError(name)
    return VERSIONS[name]


@pytest.mark.parametrize(
    ("requirement", "wrong"),
    [
        ("click>=8.1", ""),
        ("click>=8.0.9", ""),
        ("twisted[tls]>=24.10", ""),
        ("pyVoIP==1.6.8", ""),
        ("pyVoIP==1.6.9", "pyVoIP 1.6.8 is there, pyVoIP == 1.6.9 is needed"),
        ("numpy>=1.26", "numpy 1.25.2 is there, numpy >= 1.26 is needed"),
        ("flask>=3.0", "flask is missing"),
        ("audioop-lts; python_version >= '3.13'", ""),
        ("pytest>=9; extra == 'dev'", ""),
        ("numpy>=99; (sys_platform != 'win32') and extra == 'dev'", ""),
    ],
)
def test_packages(requirement, wrong):
    check = machine.packages([requirement, "click"], installed)
    assert states(check) == ["fail" if wrong else "ok"]
    assert check.what == wrong if wrong else "click 8.1" in check.what


def test_packages_of_this_environment():
    check = machine.packages()
    assert "pyvoip 1.6.8" in check.what.lower()
    assert states(check) == ["ok"]


def test_open_files():
    assert states(*map(machine.descriptors, (None, 1024, 128, 81, 10))) == [
        "ok",
        "ok",
        "warn",
        "fail",
        "fail",
    ]
    assert "room for 12 calls" in machine.descriptors(128).what
    assert machine.soft_limit() != 0


def test_a_data_folder_is_not_made(tmp_path):
    check = machine.data_folder(tmp_path / "a" / "b", lambda path: 20 * GB)
    assert states(check) == ["ok"]
    assert "can be made; 20.0 GB free" in check.what
    assert not list(tmp_path.iterdir())
    tmp_path.joinpath("a").mkdir()
    assert "can be written" in machine.data_folder(tmp_path / "a").what
    assert not list((tmp_path / "a").iterdir())


def test_data_folders_that_will_not_do(tmp_path):
    (tmp_path / "file").write_text("")
    full, tight = (machine.data_folder(tmp_path, lambda path, n=n: n) for n in (10**6, GB // 10))
    assert states(full, tight) == ["fail", "warn"]
    assert "1 MB free" in full.what
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        check = machine.data_folder(path)
        assert states(check) == ["fail"]
        assert "is no folder" in check.what


def test_a_data_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(**more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", refuse)
    check = machine.data_folder(tmp_path)
    assert states(check) == ["fail"]
    assert "cannot be written: Permission denied" in check.what


PROXY = {"HTTPS_PROXY": "http://user:hunter2@proxy.example:3128"}


@pytest.mark.parametrize(
    ("environ", "state"),
    [
        ({"PATH": "/bin", "HTTP_PROXY": ""}, "ok"),
        (PROXY, "warn"),
        ({"http_proxy": "http://p:1", "NO_PROXY": "127.0.0.1"}, "warn"),
        ({**PROXY, "no_proxy": "Localhost, 127.0.0.1,.corp"}, "ok"),
        ({**PROXY, "NO_PROXY": "*"}, "ok"),
    ],
)
def test_proxies(environ, state):
    check = machine.proxies(environ)
    assert states(check) == [state]
    assert "hunter2" not in f"{check}"
    assert ("NO_PROXY=127.0.0.1,localhost" in check.advice) == (state == "warn")


def test_proxies_are_named():
    assert machine.proxies(PROXY).what.startswith("HTTPS_PROXY is set")
    assert machine.proxies({"a": "1", "http_proxy": "x", "ALL_PROXY": "y"}).what.startswith(
        "ALL_PROXY and http_proxy are set"
    )


def test_clock():
    zone = ZoneInfo("America/Mexico_City")

    def at(*time: int) -> machine.Check:
        now = datetime(*time, tzinfo=UTC)  # type: ignore[arg-type, misc]
        return machine.clock(now, now.astimezone(zone))

    noon, night, unset = at(2026, 11, 23, 18), at(2026, 11, 24, 3), at(1970, 1, 2, 12)
    assert states(noon, night, unset) == ["ok", "ok", "fail"]
    assert (
        noon.what
        == "2026-11-23 18:00 UTC here; cards expire by the date in America/Mexico_City, 2026-11-23 12:00"
    )
    assert night.what.endswith("2026-11-23 21:00, another day")


def test_a_relative_folder_is_meant_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert states(machine.data_folder(Settings().data, lambda path: GB)) == ["ok"]
    assert not list(Path().iterdir())
