"""A run of calls in a terminal: progress, what failed as it fails, and all of it once more at the end.

Without a terminal (CI), a plain line every ten seconds says how far it is, so that nobody takes silence for a
hang. Who holds the clock calls ``beat``; no thread is started.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from ivr_sim.reports.verdict import CallVerdict, Run

__all__ = ["RunTerminal"]

EACH = 30  # a run of no more calls shows each of them; a longer one those that did not pass
MAX_SHOWN = 50  # failures, at the end
HEARTBEAT = 10.0  # seconds
STYLES = {"pass": "green", "fail": "bold red", "error": "bold magenta"}


class RunTerminal:
    """A ``Reporter`` that prints.

    artefacts: the folder of the run's, to name those of a call. beat: to be called every now and then, four
    times a second on a terminal, with the seconds since the run began.
    """

    def __init__(self, console: Console, artefacts: Path | None = None) -> None:
        self._console = console
        self._artefacts = artefacts
        self._planned = 0
        self._counts = {"pass": 0, "fail": 0, "error": 0}
        self._told = 0.0
        self._progress: Progress | None = None

    def planned(self, number: int) -> None:
        """Say how many calls there will be, where that is many."""
        self._planned = number
        if self._console.is_terminal and number > 1:
            self._progress = Progress(
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
                console=self._console,
                auto_refresh=False,  # which would be a thread
                transient=True,
            )
            self._progress.add_task("calls", total=number)
            self._progress.start()
        elif number > EACH:
            self._line(f"{number} calls", "dim")

    def finished(self, call: CallVerdict) -> None:
        """Show a call, unless it is one of very many that pass."""
        self._counts[call.verdict] += 1
        if call.verdict == "pass" and self._planned > EACH:
            return
        call = call.shown()
        said = call.reason if call.verdict == "error" else f"{call.outcome}, {call.duration_s:.1f} s"
        self._line(
            f"{call.verdict:5}  {call.name}: {said}  [{call.wall_s:.2f} s]", STYLES.get(call.verdict, "")
        )
        if call.failure is not None:
            self._line(f"       {call.failure}")

    def beat(self, seconds: float) -> None:
        """Show how far it is: on a terminal each time, else after ten seconds without."""
        if self._progress is not None:
            self._progress.update(
                self._progress.task_ids[0], completed=self._done, description=self._score(), refresh=True
            )
        elif seconds - self._told >= HEARTBEAT and self._planned:
            self._told = seconds
            self._line(f"after {seconds:.0f} s: {self._done} of {self._planned} calls: {self._score()}")

    def ended(self, run: Run) -> None:
        """What failed, the counts, the seed."""
        self.stop()
        run = run.shown()
        bad = [call for call in run.calls if call.verdict != "pass"]
        if bad:
            self._line("")
            self._line("FAILURE SUMMARY", "bold")
            for call in bad[:MAX_SHOWN]:
                self._explain(call)
            if len(bad) > MAX_SHOWN:
                self._line(f"  and {len(bad) - MAX_SHOWN} more; --json and --html have them all")
            self._line("")
        if not run.calls:
            self._line("no call was planned", STYLES["error"])
        counts = run.counts
        self._line(
            f"{counts['pass']} passed, {counts['fail']} failed, {counts['error']} errors; seed {run.seed}",
            STYLES[run.verdict],
        )

    def stop(self) -> None:
        """Take the progress away; for a run that is broken off."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    @property
    def _done(self) -> int:
        return sum(self._counts.values())

    def _score(self) -> str:
        return f"{self._counts['pass']} passed, {self._counts['fail']} failed, {self._counts['error']} errors"

    def _explain(self, call: CallVerdict) -> None:
        where = call.file, call.line
        self._line(f"  {call.verdict:5} {call.name}", STYLES[call.verdict])
        facts: list[tuple[str, object]] = []
        if call.failure is not None:
            failure = call.failure
            facts += [("step", failure.step), ("expected", failure.expected), ("heard", failure.heard)]
            if failure.t is not None:
                facts.append(("at", f"{failure.t:.2f} s"))
            if failure.file is not None:
                where = failure.file, failure.line
        else:
            facts.append(("reason", call.reason or "not known"))
        if where[0] is not None:
            facts.append(("written", where[0] if where[1] is None else f"{where[0]}:{where[1]}"))
        if call.seed is not None:
            facts.append(("seed", call.seed))
        if call.folder is not None and self._artefacts is not None:
            facts.append(("kept", self._artefacts / call.folder))
        for name, value in facts:
            self._line(f"        {name:9} {value}")

    def _line(self, text: str, style: str = "") -> None:
        # What a telephone or a merchant sent must not steer the terminal.
        text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
        self._console.print(Text(text, style=style), soft_wrap=True)
