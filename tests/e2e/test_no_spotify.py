"""The first run of somebody whose app Spotify does not serve: told at once, with what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.tools import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]


def test_a_demo_that_spotify_does_not_serve_ends_at_once_and_says_why(tmp_path: Path) -> None:
    """Nobody waits an hour for a secret that is wrong: the line comes with the first refusal, the exit status is 1.

    What is said of the other refusals stands in `tests/integration/test_market_fetcher.py`.
    """
    chosen = {"LOCAL_FOLDER": str(tmp_path), "MARKETS": "DK,SE", "SPOTIFY_FAULTS": "wrong-secret"}
    done = subprocess.run(
        [sys.executable, "-m", "local", "demo"],
        cwd=ROOT,
        env={**os.environ, **chosen},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Invalid client secret); mend SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET" in done.stdout
    assert "waiting is in vain; 0 of 2 markets had landed. Read " in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
