"""The options by which commands that hold calls report on them, and what they do."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from twisted.internet.task import LoopingCall

from ivr_sim.cli.running import Terminal
from ivr_sim.errors import ConfigurationError
from ivr_sim.node import local_now
from ivr_sim.reports import (
    Artefacts,
    CallVerdict,
    Keep,
    Run,
    RunTerminal,
    write_html,
    write_json,
    write_junit,
)
from ivr_sim.reports.github import error_annotations, write_step_summary

__all__ = ["Reporting", "report_options"]

_FILE = click.Path(path_type=Path, dir_okay=False)
ON_TERMINAL, ELSEWHERE = 0.25, 1.0  # seconds between two looks at how far a run is


class Reporting:
    """A ``Reporter`` that tells all who were asked for: the terminal, and at the end the files and GitHub.

    artefacts: for whoever holds the calls, to keep what they leave. json, junit, html: files to be written.
    github: whether to write annotations and summary; None for: where GitHub Actions runs us. environ: where
    GitHub tells of itself. reactor: IReactorTime; None for the process's own.
    """

    def __init__(
        self,
        artefacts: Artefacts,
        *,
        json: Path | None = None,
        junit: Path | None = None,
        html: Path | None = None,
        github: bool | None = None,
        environ: Mapping[str, str] = os.environ,
        console: Terminal | None = None,
        reactor: Any = None,
    ) -> None:
        self.artefacts = artefacts
        self._files = {
            path: write
            for path, write in (
                (json, self._json),
                (junit, lambda run, path: write_junit(run, path, artefacts.root)),
                (html, lambda run, path: write_html(run, path, artefacts.root)),
            )
            if path is not None
        }
        self._environ = environ
        self._github = environ.get("GITHUB_ACTIONS") == "true" if github is None else github
        self._console = console or Terminal(highlight=False, markup=False, soft_wrap=True)
        self._terminal = RunTerminal(self._console, artefacts.root)
        self._reactor = reactor
        self._began = 0.0
        self._beat: LoopingCall | None = None
        self._exit_code = 2
        for path in self._files:
            _see_that_it_can_be_written(path)

    @property
    def exit_code(self) -> int:
        """What the command ends with, once the run has ended: the run's, or 2 when a report is missing."""
        return self._exit_code

    def planned(self, number: int) -> None:
        """So many calls will be held; from now on the terminal says how far they are."""
        if self._reactor is None:
            from twisted.internet import reactor  # only where one is really run

            self._reactor = reactor
        self._terminal.planned(number)
        self._began = self._reactor.seconds()
        self._beat = LoopingCall(self._look)
        self._beat.clock = self._reactor
        self._beat.start(ON_TERMINAL if self._console.is_terminal else ELSEWHERE, now=False)

    def finished(self, call: CallVerdict) -> None:
        """One call is over."""
        self._terminal.finished(call)

    def ended(self, run: Run) -> None:
        """All are over: write everything. What cannot be written is said, and costs only itself."""
        self.close()
        left_out = self.artefacts.left_out(run)
        if left_out is not None:
            self._console.print(left_out)
        self._terminal.ended(run)
        self._exit_code = 2 if self._console.unwritten else run.exit_code
        for path, write in self._files.items():
            self._try(path, lambda path=path, write=write: write(run, path))  # type: ignore[misc]
        if self._github:
            self._tell_github(run)

    def close(self) -> None:
        """Give the terminal back, also where a run breaks off."""
        if self._beat is not None and self._beat.running:
            self._beat.stop()
        self._terminal.stop()

    def _look(self) -> None:
        self._terminal.beat(self._reactor.seconds() - self._began)

    def _tell_github(self, run: Run) -> None:
        for line in error_annotations(run, Path(self._environ.get("GITHUB_WORKSPACE", "."))):
            click.echo(line)
        summary = self._environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            self._try(Path(summary), lambda: write_step_summary(run, Path(summary)))

    def _json(self, run: Run, path: Path) -> None:
        with path.open("w", encoding="utf-8") as file:
            write_json(run, file)

    def _try(self, path: Path, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            click.echo(f"ivr-sim: {path} cannot be written: {error.strerror}", err=True)
            self._exit_code = 2


def _see_that_it_can_be_written(path: Path) -> None:
    """Before the calls, not after an hour of them."""
    folder = path.absolute().parent
    if path.is_dir():
        why = "it is a folder"
    elif not folder.is_dir():
        why = f"there is no folder {folder}"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        why = "no permission"
    else:
        return
    raise ConfigurationError(f"{path} cannot be written: {why}; make the folder, or name another file")


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options on reports, given to the command as one argument, ``reporting``.

    The command has ``--data`` too (``data_option``): artefacts are kept there unless a folder is named.
    """

    @click.option("--json", type=_FILE, help="Write the verdicts here, for programs.")
    @click.option("--junit", type=_FILE, help="Write the verdicts here as JUnit XML, for CI.")
    @click.option("--html", type=_FILE, help="Write a report for people here, one file that needs no other.")
    @click.option(
        "--github/--no-github",
        default=None,
        help="Write annotations and a step summary.  [default: where GitHub Actions runs this]",
    )
    @click.option(
        "--keep",
        type=click.Choice(["failed", "all", "none"]),
        default="failed",
        show_default=True,
        help="Of which calls to keep the masked recording, the journal, the SIP messages and HTTP requests.",
    )
    @click.option(
        "--artefacts",
        type=click.Path(path_type=Path, file_okay=False),
        help="The folder to keep them in.  [default: a new one in the data folder]",
    )
    @functools.wraps(command)
    def reported(
        *args: Any,
        json: Path | None,
        junit: Path | None,
        html: Path | None,
        github: bool | None,
        keep: Keep,
        artefacts: Path | None,
        data: Path,
        **options: Any,
    ) -> Any:
        context = click.get_current_context()
        root = (
            artefacts
            or data.absolute() / "runs" / f"{local_now():%Y%m%d-%H%M%S}-{context.info_name}-{os.getpid()}"
        )
        reporting = Reporting(Artefacts(root, keep), json=json, junit=junit, html=html, github=github)
        context.call_on_close(reporting.close)
        return command(*args, data=data, reporting=reporting, **options)

    return reported
