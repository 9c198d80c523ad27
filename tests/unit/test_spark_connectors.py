"""Google's connectors: where they are looked for, how they are fetched, and what is said where they cannot be."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from local import tools
from local.spark import connectors
from local.spark.connectors import BIGQUERY, STORAGE, Connector, fetch, found, ivy_command, proxy_options
from local.tools import ToolError

JAR = b"a jar"
PINNED = replace(STORAGE, size=len(JAR), sha256=hashlib.sha256(JAR).hexdigest())


def java_that(folder: Path, does: str) -> Path:
    """A Java home whose Java does this in place of Ivy; it is started where the jar has to be put."""
    program = folder / "java" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    return folder / "java"


def test_a_jar_that_is_there_is_taken_as_it_is(tmp_path: Path) -> None:
    """Nothing is started for it; BigQuery's is taken where it lies in its place, and only there."""
    (tmp_path / STORAGE.file).touch()
    nowhere = tmp_path / "no-java"
    assert found(nowhere, {}, tmp_path).jars == (tmp_path / STORAGE.file,)
    (tmp_path / BIGQUERY.file).touch()
    assert found(nowhere, {}, tmp_path).jars == (tmp_path / STORAGE.file, tmp_path / BIGQUERY.file)


def test_a_fetched_jar_is_the_pinned_one(tmp_path: Path) -> None:
    """What arrives whole is kept under its published name."""
    java = java_that(tmp_path, f"printf '{JAR.decode()}' > {PINNED.file}")
    assert fetch(PINNED, java, {}, tmp_path / "jars").read_bytes() == JAR


def test_another_jar_than_the_pinned_is_refused_and_not_kept(tmp_path: Path) -> None:
    """A changed file never gets on a class path."""
    java = java_that(tmp_path, f"printf 'b jar' > {PINNED.file}")
    with pytest.raises(ToolError, match=f"pinned are 5 with {PINNED.sha256}"):
        fetch(PINNED, java, {}, tmp_path / "jars")
    assert list((tmp_path / "jars").iterdir()) == []


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("echo 'module not found: x'; echo '::::::::'; exit 0", "fetched: module not found: x. Try"),
        ("exit 1", "Ivy said nothing"),
    ],
)
def test_where_it_cannot_be_fetched_the_remedy_is_named(tmp_path: Path, does: str, why: str) -> None:
    """One message says what was wanted, why it did not come, and where to put it by hand."""
    with pytest.raises(ToolError, match=why) as caught:
        fetch(STORAGE, java_that(tmp_path, does), {}, tmp_path / "jars")
    for told in (
        "com.google.cloud.bigdataoss:gcs-connector:4.0.4 (classifier shaded)",
        f"connectors/{STORAGE.file}",
    ):
        assert told in str(caught.value)


def test_no_java_is_told_of_in_the_same_way(tmp_path: Path) -> None:
    """Not as an exception of the operating system."""
    with pytest.raises(ToolError, match="no-java"):
        fetch(STORAGE, tmp_path / "no-java", {}, tmp_path / "jars")


def test_only_the_jar_itself_is_asked_for(tmp_path: Path) -> None:
    """With the descriptors of what it was built from, or with its dependencies, it would take a minute and more."""
    command = ivy_command(STORAGE, tmp_path, {}, tmp_path)
    assert Path(command[2]).name.startswith("ivy-")
    wanted = (tmp_path / "ivy.xml").read_text()
    assert ('transitive="false"' in wanted, 'm:classifier="shaded"' in wanted) == (True, True)
    assert 'usepoms="false"' in (tmp_path / "settings.xml").read_text()
    ivy_command(BIGQUERY, tmp_path, {}, tmp_path)
    assert "classifier=" not in (tmp_path / "ivy.xml").read_text()


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({}, []),
        ({"HTTPS_PROXY": "http://proxy:3128"}, ["-Dhttps.proxyHost=proxy", "-Dhttps.proxyPort=3128"]),
        ({"https_proxy": "proxy"}, ["-Dhttps.proxyHost=proxy", "-Dhttps.proxyPort=80"]),
    ],
)
def test_java_is_told_of_the_proxy(environment: Mapping[str, str], options: list[str]) -> None:
    """Java does not read the variables that everything else reads."""
    assert proxy_options(environment) == options


def test_bigquery_s_connector_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not served everywhere: that is said, and is no failure; without the other nothing runs."""

    def served(connector: Connector, *_: object) -> Path:
        if connector is BIGQUERY:
            raise ToolError("not served")
        return tmp_path / connector.file

    monkeypatch.setattr(connectors, "fetch", served)
    monkeypatch.setattr(tools, "java", lambda *_: tools.Java(tmp_path, tmp_path / "bin" / "java", 17))
    connectors.main([], {})
    assert "not served. Without it the stand-in" in capsys.readouterr().out
    connectors.main(["storage"], {})
    assert "BigQuery" not in capsys.readouterr().out


def test_a_folder_in_which_java_reads_no_jar_is_refused(tmp_path: Path) -> None:
    """`!/` ends a jar's address: said at the start, and not as a class that cannot be found."""
    with pytest.raises(ToolError, match="name the folder otherwise"):
        found(tmp_path, {}, tmp_path / "Hi!" / "connectors")
