"""The pytest plugin: calls as tests.

    def test_the_amount_is_accepted(replay_call):
        call = replay_call({"given": {"amount": "200.00"}, "caller": {"profile": "fast"}})
        assert call.outcome == "approved"

Fixtures: ``replay_call`` (in virtual time), ``place_call`` (over SIP, in real time), ``ivr`` (everything up
in a process beside the tests) and, to be overridden, ``authorizer_url`` and ``authorizer_login``. With
``ivr_sim_collect = true`` each ``NAME.call.yaml`` is a test, too.

All that is ours runs in child processes: here is no reactor, and hardly an import. Each xdist worker has a
data folder of its own; what was rendered of prompts is shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ivr_sim.pytest_plugin.collected import CallFile
    from ivr_sim.pytest_plugin.commands import Commands, HoldCall, Login
    from ivr_sim.pytest_plugin.serving import Ivr

SUFFIX = ".call.yaml"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our lines of the ini file."""
    parser.addini("ivr_sim_collect", "Collect NAME.call.yaml: each is a test.", type="bool", default=False)
    parser.addini(
        "ivr_sim_artefacts",
        "Where failed calls leave what is kept of them; nowhere, unless set.",
        type="string",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> CallFile | None:
    """A call that is a file is a test, where the ini file says so."""
    if not file_path.name.endswith(SUFFIX) or not parent.config.getini("ivr_sim_collect"):
        return None
    from ivr_sim.pytest_plugin.collected import CallFile

    made: CallFile = CallFile.from_parent(parent, path=file_path)
    return made


def pytest_unconfigure(config: pytest.Config) -> None:
    """The data folder goes."""
    from ivr_sim.pytest_plugin.commands import forget

    forget(config)


@pytest.fixture(scope="session")
def authorizer_url() -> str | None:
    """The authorizer that is tested: override it with the URL of yours. None: ours."""
    return None


@pytest.fixture(scope="session")
def authorizer_login() -> Login:
    """Openpay's user and password at the authorizer that is tested: override it, or set the environment."""
    from ivr_sim.pytest_plugin.commands import login

    return login()


@pytest.fixture(scope="session")
def ivr_sim_commands(
    request: pytest.FixtureRequest, authorizer_url: str | None, authorizer_login: Login
) -> Commands:
    """How the other fixtures run our commands."""
    from ivr_sim.pytest_plugin.commands import Commands

    return Commands(request.config, authorizer_url, authorizer_login)


@pytest.fixture(scope="session")
def ivr(ivr_sim_commands: Commands) -> Iterator[Ivr]:
    """Exchange, IVR, authorizer and Openpay stand-in, up for this session (of this xdist worker)."""
    from ivr_sim.pytest_plugin.serving import serving

    with serving(ivr_sim_commands) as served:
        yield served


@pytest.fixture
def replay_call(request: pytest.FixtureRequest, ivr_sim_commands: Commands) -> HoldCall:
    """Hold a call in virtual time: ``replay_call(path or mapping) -> CallResult``."""
    return ivr_sim_commands.holder(request)


@pytest.fixture
def place_call(request: pytest.FixtureRequest, ivr_sim_commands: Commands) -> HoldCall:
    """Place a call over SIP, in real time: ``place_call(path or mapping) -> CallResult``."""
    return ivr_sim_commands.holder(request, "--sip")
