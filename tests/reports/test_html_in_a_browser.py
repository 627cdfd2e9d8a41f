"""The report in headless Chromium, where there is one: what a parser cannot see."""

import html
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ivr_sim.reports import Artefacts, CallVerdict, Failure, Run, write_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AUDIT = Path(__file__).with_name("page_audit.js")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium"),
]


@pytest.mark.parametrize(
    ("width", "dark"), [(1280, False), (1280, True), (500, False)], ids=["light", "dark", "narrow"]
)
def test_no_error_no_overlap_and_good_to_read(tmp_path, evidence, width, dark):
    failure = Failure("prompt amount", "200.00", "2000.00", 5.0, "calls/wrong.call.yaml", 9)
    wrong = CallVerdict(
        "wrong", "fail", "no_input", "approved", {"payment_key": ["123456"]}, (), 12.0, 0.3, failure,
        file="calls/wrong.call.yaml", line=1, seed=1,
    )  # fmt: skip
    kept = Artefacts(tmp_path / "kept", "all").keep(
        wrong, evidence.records, evidence.caller, evidence.ivr, evidence.exchanges, evidence.sip,
        evidence.masks, zero=evidence.zero,
    )  # fmt: skip
    calls = [kept, CallVerdict("e", "error", reason="no WAV"), CallVerdict("fine", "pass", "approved")]
    page = tmp_path / "report.html"
    write_html(Run("replay", datetime(2026, 11, 23, tzinfo=UTC), 1, calls), page, tmp_path / "kept")
    text = page.read_text(encoding="utf-8")
    audit = AUDIT.read_text(encoding="utf-8")
    page.write_text(text.replace("</body>", f"<script>{audit}</script></body>"), encoding="utf-8")

    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--enable-logging=stderr", "--dump-dom", page.as_uri(),
        ],
        capture_output=True, timeout=100, check=True, text=True,
    )  # fmt: skip

    told = json.loads(html.unescape(re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)[1]))
    assert [line for line in done.stderr.splitlines() if ":CONSOLE" in line] == []
    assert told["wrong"] == []
    assert told["dark"] == dark
    assert told["counts"] == {
        "all": 3, "fail": 1, "text": 1, "none": 0, "said": "0 calls shown", "again": 3,
    }  # fmt: skip
