"""A pytest plugin: the chosen tests once for each change, in one session, so that Spark starts once.

mutmut's copies of the code look up at each call which change is on (`MUTANT_UNDER_TEST`), so nothing is imported
anew. `MUTANTS` names the changes; `VERDICTS` is the file that gets, by change, whether a test noticed it.
"""

import json
import os
from pathlib import Path

import pytest


def pytest_runtestloop(session: pytest.Session) -> bool:
    """The tests must pass as they are; then each change is tried until a test fails."""
    if _fails(session, ""):
        raise pytest.UsageError("the tests fail without any change; mend them first")
    verdicts = {mutant: _fails(session, mutant) for mutant in os.environ["MUTANTS"].split()}
    Path(os.environ["VERDICTS"]).write_text(json.dumps(verdicts), encoding="utf-8")
    return True


def _fails(session: pytest.Session, mutant: str) -> bool:
    os.environ["MUTANT_UNDER_TEST"] = mutant
    before = session.testsfailed
    # The next item is always another one, so that what the session has set up stays up.
    following = [*session.items[1:], session.items[0]]
    for item, nextitem in zip(session.items, following, strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        if session.testsfailed > before:
            return True
    return False
