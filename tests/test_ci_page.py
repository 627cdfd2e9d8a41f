"""What docs/ci.md tells CI to run does run: the pages' own lines, in a project with two recorded calls."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ivr_sim.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
CALLS = ROOT / "fixtures" / "calls"
GITHUB, GITLAB = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
GITHUB_STEPS = GITHUB["jobs"]["calls"]["steps"]


@pytest.fixture
def project(tmp_path) -> Path:
    """A repository with two calls that pass."""
    (tmp_path / "calls").mkdir()
    for name in ("rejected", "hang-up-in-the-card"):
        for suffix in (".wav", ".call.yaml"):
            shutil.copy(CALLS / f"{name}{suffix}", tmp_path / "calls")
    return tmp_path


def run(project: Path, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One line of a script, in a shell that finds our commands."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "IVR_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{ours['PATH']}"
    return subprocess.run(
        ["sh", "-ec", line], cwd=project, env={**ours, "PATH": path, **environment},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def expanded(text: str, **values: str) -> str:
    """GitHub's ``${{ name }}`` with their values."""
    return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda found: values[found[1]], text)


def steps(word: str) -> Iterator[dict[str, Any]]:
    return (step for step in GITHUB_STEPS if word in step.get("run", step.get("uses", "")))


@pytest.mark.slow
def test_github_actions(project):
    """Both shards together hold each call once; what is uploaded and cached is there, and the summary."""
    [replay] = steps("ivr-sim replay")
    [upload] = steps("upload-artifact")
    [cache] = steps("actions/cache")
    summary = project / "summary.md"
    names = []
    for shard in GITHUB["jobs"]["calls"]["strategy"]["matrix"]["shard"]:
        values = {"matrix.shard": str(shard), "github.run_id": "1"}
        done = run(
            project,
            expanded(replay["run"], **values),
            GITHUB_ACTIONS="true",
            GITHUB_STEP_SUMMARY=str(summary),
            **replay["env"],
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1 passed" in done.stdout
        junit = (project / "junit.xml").read_text()
        names += re.findall(r'<testcase [^>]*\bname="([^"]+)"', junit)
        for path in expanded(upload["with"]["path"], **values).split():
            assert (project / path).exists() or path == "artefacts", path  # that one, only if a call fails
        expanded(cache["with"]["key"], **values)
    assert len(names) == 2
    assert "rejected" in " ".join(names)
    assert "hang-up-in-the-card" in " ".join(names)
    assert summary.read_text()
    assert replay["env"]["IVR_SIM_CACHE"] == cache["with"]["path"]


@pytest.mark.slow
def test_gitlab_and_a_call_that_differs(project):
    """The job fails, and has the reports; on GitHub it would be annotated at its line."""
    label = project / "calls" / "rejected.call.yaml"
    label.write_text(label.read_text().replace("outcome: rejected", "outcome: approved"))
    job = GITLAB["calls"]
    [line] = job["script"]
    variables = {n: v.replace("$CI_PROJECT_DIR", str(project)) for n, v in job["variables"].items()}
    done = run(project, line, CI_NODE_INDEX="1", CI_NODE_TOTAL="1", GITHUB_ACTIONS="true", **variables)
    assert "1 passed, 1 failed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1
    assert re.search(r"^::error file=calls/rejected\.call\.yaml,line=\d+", done.stdout, re.MULTILINE)
    for path in (*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]):
        assert (project / path).exists()
    assert list(project.glob("artefacts/**/journal.jsonl"))
    assert variables["IVR_SIM_CACHE"] == str(project / job["cache"]["paths"][0])


def test_every_command_of_the_page_is_one_of_ours():
    told = set(re.findall(r"`?ivr-sim ([a-z]+)", PAGE))
    assert "replay" in told
    assert told <= set(COMMANDS)
