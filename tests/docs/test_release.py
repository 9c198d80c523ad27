"""A release has one version: the package's, that of its section in the changelog, and that of its tag."""

import json
import re
import subprocess
import tomllib
from datetime import date

from contracts import __version__
from tests.docs.markdown_files import ROOT, shell

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
_RELEASE = re.compile(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)")


def sections() -> list[str]:
    """The changelog's sections, as they stand."""
    return re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)


def releases() -> list[tuple[str, date]]:
    """Version and day of each release, as they stand."""
    found = [_RELEASE.fullmatch(section) for section in sections()[1:]]
    return [(match[1], date.fromisoformat(match[2])) for match in found if match]


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_the_newest_release_is_the_version() -> None:
    """Whoever reads `releases --version` must find what is new in it."""
    assert releases()[0][0] == __version__


def test_sections_stand_newest_first() -> None:
    """What is not released stands on top, then every release with its day; no section is of another form."""
    assert sections()[0] == "[Unreleased]"
    assert len(releases()) == len(sections()) - 1
    assert releases() == sorted(releases(), key=lambda release: (release[1], number(release[0])), reverse=True)


def test_the_tag_is_the_version() -> None:
    """The command that makes the tag, as it is written for whoever releases, names the version and no other."""
    (command,) = [line for line in shell(ROOT / "CONTRIBUTING.md") if line.startswith("git tag ")]
    shown = command.replace("git tag", "echo", 1)
    told = subprocess.run(
        ["/bin/sh", "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert f"v{releases()[0][0]}" in told.stdout.split()


def test_the_version_stands_once() -> None:
    """A second place would one day say something else: documents are generated, and nothing else carries one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"] == {"path": "contracts/__init__.py"}
    for name in ("asyncapi", "openapi"):
        document = json.loads((ROOT / f"contracts/{name}.json").read_text(encoding="utf-8"))
        assert document["info"]["version"] == __version__, name
    for path in (*ROOT.glob("docs/site/package.json"), *ROOT.glob(".github/actionlint/package.json")):
        assert "version" not in json.loads(path.read_text(encoding="utf-8")), path
    assert "image.version" not in (ROOT / "Dockerfile").read_text(encoding="utf-8")
