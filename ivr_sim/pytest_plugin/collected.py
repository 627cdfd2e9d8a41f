"""Calls that are files, as tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ivr_sim.pytest_plugin.commands import CallError, Commands
from ivr_sim.pytest_plugin.result import CallResult

__all__ = ["CallFile", "CallItem"]

RESULTS = pytest.StashKey[dict[Path, list[CallResult]]]()


class CallsDiffer(Exception):
    """Calls did not come to what their file expects."""

    def __init__(self, results: list[CallResult]) -> None:
        super().__init__("\n".join(map(str, results)))
        self.results = results


class CallFile(pytest.File):
    """A file with a call, or with a table of them."""

    def collect(self) -> Iterator[CallItem]:
        """One test: a table's rows pass or fail together, and each that fails is told."""
        yield CallItem.from_parent(self, name="replay")


class CallItem(pytest.Item):
    """The calls of one file, held in virtual time."""

    def runtest(self) -> None:
        """Raises CallsDiffer, CallError."""
        if RESULTS not in self.config.stash:
            self.config.stash[RESULTS] = {}
            if "PYTEST_XDIST_WORKER" not in os.environ:  # a worker does not know which of all are its own
                with suppress(CallError):  # one file may be to blame: each on its own then
                    self._replay([item.path for item in self.session.items if isinstance(item, CallItem)])
        results = self.config.stash[RESULTS]
        if self.path not in results:
            self._replay([self.path])
        differ = [result for result in results[self.path] if not result.passed]
        if differ:
            raise CallsDiffer(differ)

    def _replay(self, paths: list[Path]) -> None:
        """Replay files, all at once: a process for each would take more time than the calls."""
        held = Commands(self.config).hold(paths, self.nodeid if len(paths) == 1 else "collected")
        results = self.config.stash[RESULTS]
        for path in paths:
            results[path] = [result for result in held if result.file and Path(result.file) == path]
            if not results[path]:
                raise CallError(f"{path}: the replay says nothing of it")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What differs, and where that is written; no traceback."""
        if not isinstance(excinfo.value, CallsDiffer | CallError):
            return super().repr_failure(excinfo, style)
        return str(excinfo.value)

    def reportinfo(self) -> tuple[os.PathLike[str], int | None, str]:
        """The file."""
        return self.path, 0, f"replay of {self.path.name}"
