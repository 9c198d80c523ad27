"""What GitHub runs and watches for this repository: nothing that moves by itself, and nothing that is forgotten."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
MANIFESTS = {
    "pip": "*.in",
    "npm": "package.json",
    "docker": "Dockerfile*",
    "terraform": "*.tf",
}
"""What names packages, by Dependabot's kinds. Of workflows it wants the root alone."""
_NOT_OURS = {"node_modules", "mutants"}
_PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*")


def uses(workflow: Path) -> list[str]:
    """Every action that a workflow uses, with the comment behind it."""
    return re.findall(r"^\s*(?:- )?uses: *(.*?)\s*$", workflow.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit(workflow: Path) -> None:
    """A tag can be moved to other code by whoever gets hold of the action, a commit cannot; people read the comment."""
    assert uses(workflow)
    assert [line for line in uses(workflow) if not _PINNED.fullmatch(line)] == []


@pytest.mark.parametrize(
    "line", ["actions/checkout@v6", "actions/checkout@main # v6", f"a/b@{'0' * 39} # v6", f"a/b@{'0' * 40}"]
)
def test_what_moves_is_not_taken_for_pinned(line: str) -> None:
    """A tag, a branch, a shortened commit, and a commit of which nobody knows the version."""
    assert not _PINNED.fullmatch(line)


def test_an_action_is_the_same_everywhere() -> None:
    """Two pins of one action are two versions of it, or one lie about a version."""
    pins = defaultdict(set)
    for line in (line for workflow in WORKFLOWS for line in uses(workflow)):
        pins[line.partition("@")[0]].add(line)
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


def test_each_image_is_tried() -> None:
    """An image that nobody builds until a deployment fails in it: which there are is read from the topology."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    command = jobs["registry"]["steps"][-1]["run"]
    asked = re.fullmatch(r"jq -c '(?P<ask>.*)' -r infra/topology.json >> \"\$GITHUB_OUTPUT\"", command)
    assert asked
    assert asked["ask"] == '"processes=" + ((.services | keys) + ["dashboard"] | tojson)'
    assert jobs["images"]["strategy"]["matrix"] == {"service": "${{ fromJSON(needs.registry.outputs.processes) }}"}


def watched() -> dict[str, dict[str, Any]]:
    """What Dependabot is told, by kind."""
    told = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text(encoding="utf-8"))
    return {entry["package-ecosystem"]: entry for entry in told["updates"]}


def folders(pattern: str) -> set[str]:
    """Folders with a file of a name, as Dependabot calls them; but for what tools have put into the clone."""
    tops = [top for top in ROOT.iterdir() if top.name == ".github" or (top.is_dir() and top.name[0] != ".")]
    found = [*ROOT.glob(pattern), *(path for top in tops for path in top.rglob(pattern))]
    ours = {path.parent.relative_to(ROOT) for path in found if not _NOT_OURS & {*path.parts}}
    return {"/" if folder == Path() else f"/{folder.as_posix()}" for folder in ours}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_every_folder_that_names_packages_is_watched(kind: str) -> None:
    """A folder that was forgotten grows old in silence; one that is gone makes the others' updates fail."""
    assert folders(MANIFESTS[kind]) == set(watched()[kind]["directories"])


def test_every_kind_is_watched_weekly_together_and_with_patience() -> None:
    """One pull request a week and kind can be looked at; a release of yesterday may be gone tomorrow."""
    assert watched().keys() == {*MANIFESTS, "github-actions"}
    for kind, entry in watched().items():
        assert entry["schedule"] == {"interval": "weekly"}, kind
        assert entry["groups"][kind] == {"patterns": ["*"]}, kind
        assert entry["cooldown"]["default-days"] >= 7, kind
