"""The folder copied by itself into an empty environment, with nothing but its own requirements."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

import authorizer

PASSWORD = "una contraseña bastante larga"
ENOUGH = 100  # seconds, for one installation on a loaded machine


def copy(to: Path) -> None:
    ours = Path(authorizer.__file__).parent
    shutil.copytree(ours, to, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A folder with a copy of the package and an environment that has its requirements and no more."""
    copy(tmp_path / "authorizer")
    for command in (
        [sys.executable, "-m", "venv", "env"],
        ["env/bin/python", "-m", "pip", "install", "-q", "--no-compile", "-r", "authorizer/requirements.txt"],
    ):
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=ENOUGH, check=False
        )
        assert done.returncode == 0, done.stderr
    return tmp_path


def environment() -> dict[str, str]:
    """A bare environment: no path of this checkout, and every warning is an error."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"AUTHORIZER_PASSWORD": PASSWORD, "PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": "1"}


def run(folder: Path, *arguments: str) -> str:
    command = ["env/bin/python", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=ENOUGH, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """``python -m authorizer serve``, and where it listens."""
    server = subprocess.Popen(
        ["env/bin/python", "-m", "authorizer", "serve", "--user", "openpay", "--port", "0"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    try:
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found
        yield found[0]
        server.send_signal(signal.SIGTERM)
        assert server.wait(ENOUGH) == 0
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_folder_runs_when_copied_alone(alone: Path) -> None:
    modules = run(alone, "-c", "import authorizer, sys; print(*sys.modules)").split()
    assert not {"ivr_sim", "dtmf", "twisted", "numpy", "pydantic", "structlog"} & set(modules)

    issue = (
        "-m",
        "authorizer",
        "keys",
        "issue",
        "--amount",
        "200",
        "--description",
        "Cargo IVR",
        "--order-id",
    )
    key = json.loads(run(alone, *issue, "ord-234", "--json"))["ivr_key"]
    with serving(alone) as url:
        request = urllib.request.Request(
            url,
            data=json.dumps({"ivr_key": key}).encode(),
            headers={
                "Authorization": "Basic " + b64encode(f"openpay:{PASSWORD}".encode()).decode(),
                "Content-Type": "application/json",
            },
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=ENOUGH) as reply:
            body = reply.read()
    assert body == (
        b'{"response_code": 0, "amount": 200.00, "description": "Cargo IVR", "order_id": "ord-234"}'
    )
    assert "paid" in run(alone, "-m", "authorizer", "keys", "paid", str(key))


def test_the_folder_may_be_renamed_and_put_into_a_package(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    copy(tmp_path / "shop" / "telephone")
    program = "from shop.telephone import create_app; print(create_app.__module__)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=ENOUGH,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("shop.telephone.app\n", "")
