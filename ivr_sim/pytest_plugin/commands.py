"""How the plugin runs our commands: in child processes, on a data folder of their own, prompts shared."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from ivr_sim.pytest_plugin.result import CallResult, read

__all__ = ["CallError", "Commands", "HoldCall", "Login", "forget", "login"]

Login = tuple[str, str | None]
PASSWORD = "IVR_AUTHORIZER_PASSWORD"
CACHE = "IVR_SIM_CACHE"
PATIENCE = 900.0  # seconds that a run of calls may last: a call is cut off after ten minutes
ELSEWHERE = {"GITHUB_ACTIONS", "IVR_SIM_STATE"}  # what CI asked of pytest, it did not ask of us
FOLDER = pytest.StashKey[Path]()


class CallError(Exception):
    """A call could not be held or judged; the message says why."""


class HoldCall(Protocol):
    """Holds one call and returns what became of it."""

    def __call__(self, scenario: str | os.PathLike[str] | Mapping[str, Any]) -> CallResult:
        """scenario: a file, from the test's folder on, or its content. Raises CallError."""
        ...


def login() -> Login:
    """Openpay's user at an authorizer, ``openpay``, and the password from the environment."""
    return "openpay", os.environ.get(PASSWORD)


def forget(config: pytest.Config) -> None:
    """Remove the data folder, if there is one."""
    folder = config.stash.get(FOLDER, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


class Commands:
    """Runs our commands for one session (of one xdist worker).

    authorizer_url, login: the authorizer to be asked instead of ours. data: the data folder, gone with the
    session. cache: rendered prompts, kept from run to run and shared by all workers. artefacts: where failed
    calls are kept, or None.
    """

    def __init__(
        self, config: pytest.Config, authorizer_url: str | None = None, login: Login = ("", None)
    ) -> None:
        self.authorizer_url = authorizer_url
        self.login = login
        if FOLDER not in config.stash:
            config.stash[FOLDER] = Path(tempfile.mkdtemp(prefix="pytest-ivr-sim-"))
        self.data = config.stash[FOLDER]
        cache = getattr(config, "cache", None)  # nobody has one under -p no:cacheprovider
        self.cache = self.data / "prompts" if cache is None else cache.mkdir("ivr_sim_prompts")
        kept = config.getini("ivr_sim_artefacts")
        self.artefacts = config.rootpath / kept if kept else None

    @property
    def environment(self) -> dict[str, str]:
        """What a command of ours runs with: ports of its own, and no word to GitHub."""
        ours = {CACHE: str(self.cache), "OPENBLAS_NUM_THREADS": "1"} | os.environ
        ours |= {"IVR_SIM_AUTHORIZER_PORT": "0", "IVR_SIM_OPENPAY_PORT": "0"}
        if self.login[1] is not None:
            ours[PASSWORD] = self.login[1]
        return {name: value for name, value in ours.items() if name not in ELSEWHERE}

    @property
    def to_authorizer(self) -> list[str]:
        """The options that name the authorizer to be asked, if it is not ours."""
        if self.authorizer_url is None:
            return []
        return ["--authorizer", self.authorizer_url, "--user", self.login[0]]

    def command(self, *words: str) -> list[str]:
        """A command of ours, as a list of words."""
        return [sys.executable, "-m", "ivr_sim", *words, "--data", str(self.data)]

    def hold(self, paths: Sequence[Path], name: str, *options: str) -> list[CallResult]:
        """Hold the calls of these files. name: of the run, among artefacts. options: those of ``replay``.

        Raises CallError when the command could not be run.
        """
        __tracebackhide__ = True
        report = Path(tempfile.mkdtemp(dir=self.data)) / "report.json"
        kept = None if self.artefacts is None else self.artefacts / _plain(name)
        words = ["replay", *map(str, paths), "--json", str(report), *self.to_authorizer, *options]
        words += ["--keep", "none"] if kept is None else ["--keep", "failed", "--artefacts", str(kept)]
        try:
            done = subprocess.run(
                self.command(*words),
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=PATIENCE,
                check=False,
                env=self.environment,
                cwd=self.data,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as late:
            raise CallError(f"ivr-sim replay was still at it after {late.timeout:.0f} s") from None
        try:
            return read(json.loads(report.read_text(encoding="utf-8")), kept)
        except (OSError, ValueError):
            said = done.stderr.strip() or done.stdout.strip() or "it said nothing"
            raise CallError(f"ivr-sim replay ended with {done.returncode}: {said}") from None

    def holder(self, request: pytest.FixtureRequest, *options: str) -> HoldCall:
        """The value of a fixture: holds calls for one test."""
        folder, name = request.path.parent, request.node.name

        def hold(scenario: str | os.PathLike[str] | Mapping[str, Any]) -> CallResult:
            __tracebackhide__ = True
            if isinstance(scenario, Mapping):
                path = self._written(scenario, folder, name)
            else:
                path = folder / scenario
            results = self.hold([path], request.node.nodeid, *options)
            if len(results) != 1:
                raise CallError(f"{path} plans {len(results)} calls: give one, or have the file collected")
            result = results[0]
            if result.verdict == "error":
                raise CallError(f"{result.name}: {result.reason}")
            if isinstance(scenario, Mapping) and result.failure is not None:
                # The file was made for the command alone; where it said so helps nobody.
                result = replace(result, failure=replace(result.failure, file=None, line=None))
            # Shown below a test that fails, whatever it asserted.
            request.node.add_report_section("call", "ivr-sim", str(result))
            return result

        return hold

    def _written(self, scenario: Mapping[str, Any], folder: Path, name: str) -> Path:
        """A scenario as a file (JSON is YAML). What it plays lies beside the test."""
        content: dict[str, Any] = {"version": "1", **scenario}
        if "wav" in content:
            content["wav"] = str(folder / content["wav"])
        content["steps"] = [
            {**step, "play": str(folder / step["play"])} if "play" in step else step
            for step in content.get("steps", ())
        ]
        path = Path(tempfile.mkdtemp(dir=self.data)) / f"{_plain(name)}.call.yaml"
        path.write_text(json.dumps(content, default=str, ensure_ascii=False, indent=1), encoding="utf-8")
        return path


def _plain(name: str) -> str:
    """A test's name as a file's."""
    return re.sub(r"[^A-Za-z0-9_.=+-]+", "-", name).strip("-.")[-100:] or "call"
