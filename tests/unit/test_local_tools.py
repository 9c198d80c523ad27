"""Finding and fetching what the stack needs, without a network: files stand for the web."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from local import tools
from local.tools import Archive, ToolError

JAR = "cloud-pubsub-emulator-0.8.30-all.jar"


def sdk(root: Path, version: str = "0.8.30") -> Path:
    """A Google Cloud SDK with the emulator, as far as anyone looks."""
    folder = root / "platform" / "pubsub-emulator" / "lib"
    folder.mkdir(parents=True)
    (folder / f"cloud-pubsub-emulator-{version}-all.jar").touch()
    (root / "bin").mkdir()
    (root / "bin" / "gcloud").touch(mode=0o755)
    return root


def packed(tmp_path: Path) -> Path:
    """The emulator's archive."""
    path = tmp_path / "emulator.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"pubsub-emulator/lib/{JAR}", "jar")
    return path


def pinned(path: Path) -> Archive:
    """The archive with its true size and digest."""
    content = path.read_bytes()
    return Archive(path.as_uri(), len(content), hashlib.sha256(content).hexdigest())


def test_a_named_jar_is_taken(tmp_path: Path) -> None:
    """PUBSUB_EMULATOR_JAR decides."""
    jar = tmp_path / "mine.jar"
    jar.touch()
    assert tools.pubsub_jar({"PUBSUB_EMULATOR_JAR": str(jar)}, tmp_path) == jar


def test_a_named_jar_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A wrong name is not silently passed over."""
    with pytest.raises(ToolError, match=r"PUBSUB_EMULATOR_JAR names .*not a file"):
        tools.pubsub_jar({"PUBSUB_EMULATOR_JAR": str(tmp_path / "no.jar")}, tmp_path)


def test_the_jar_is_found_beside_the_gcloud_on_path(tmp_path: Path) -> None:
    """Through the link that a package manager puts on PATH, without asking the slow gcloud itself."""
    root = sdk(tmp_path / "sdk")
    links = tmp_path / "bin"
    links.mkdir()
    (links / "gcloud").symlink_to(root / "bin" / "gcloud")
    found = tools.pubsub_jar({"PATH": str(links)}, tmp_path / "tools")
    assert found == root / "platform" / "pubsub-emulator" / "lib" / JAR


def test_a_fetched_archive_is_unpacked_whole(tmp_path: Path) -> None:
    """What has the pinned size and digest lands in the tools folder."""
    tools.fetch_and_unpack(pinned(packed(tmp_path)), tmp_path / "tools" / "pubsub-emulator")
    assert (tmp_path / "tools" / "pubsub-emulator" / "pubsub-emulator" / "lib" / JAR).read_text() == "jar"


def test_an_archive_other_than_the_pinned_is_refused(tmp_path: Path) -> None:
    """A changed file is neither used nor left behind."""
    path = packed(tmp_path)
    expected = pinned(path)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ToolError, match="pinned are"):
        tools.fetch_and_unpack(expected, tmp_path / "tools" / "pubsub-emulator")
    assert not list((tmp_path / "tools").iterdir())


def test_where_the_emulator_cannot_be_fetched_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message says what to install."""
    monkeypatch.setattr(tools, "_jar_folders", lambda *_: iter(()))
    gone = Archive((tmp_path / "gone.zip").as_uri(), 1, "0")
    monkeypatch.setattr(tools, "PUBSUB_ARCHIVE", gone)
    with pytest.raises(ToolError, match="gcloud components install pubsub-emulator"):
        tools.pubsub_jar({}, tmp_path)


def java_saying(folder: Path, version: str, *, modules: str = "java.base jdk.incubator.vector") -> Path:
    """A program that answers as Java does when asked for its properties."""
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "java"
    told = f"    java.class.path = \n    java.home = {folder}\n    java.specification.version = {version}\n"
    lacking = f'case "$*" in *--add-modules=*) echo "{modules}" | grep -q jdk.incubator.vector || exit 1;; esac'
    program.write_text(f"#!/bin/sh\n{lacking}\ncat >&2 <<END\n{told}END\n")
    program.chmod(0o755)
    return program


def test_an_old_java_is_passed_over_for_a_newer_one(tmp_path: Path) -> None:
    """JAVA_HOME comes first, but Spark does not run on Java 11 or 1.8."""
    java_saying(tmp_path / "eight", "1.8")
    newer = java_saying(tmp_path / "seventeen", "17")
    found = tools.java({"JAVA_HOME": str(tmp_path / "eight"), "PATH": f"{newer.parent}:/bin"}, tmp_path)
    assert found == tools.Java(tmp_path / "seventeen", newer, 17)


def test_a_fetched_java_is_found_again(tmp_path: Path) -> None:
    """The second run fetches nothing."""
    fetched = java_saying(tmp_path / "tools" / "jdk" / "jdk-17", "17")
    assert tools.java({"PATH": ""}, tmp_path / "tools").executable == fetched


def test_a_java_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    """Such as macOS's placeholder, which only says where to get one."""
    broken = java_saying(tmp_path / "broken", "17")
    broken.write_text("#!/bin/sh\nexit 1\n")
    fitting = java_saying(tmp_path / "tools" / "jdk" / "jdk-21", "21")
    assert tools.java({"PATH": str(broken.parent)}, tmp_path / "tools").executable == fitting


@pytest.mark.parametrize(("version", "why"), [("25", "is Java 25"), ("20", "is Java 20"), ("1.8", "is Java 1.8")])
def test_a_java_that_spark_is_not_made_for_is_passed_over_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str, why: str
) -> None:
    """Hadoop fails deep inside on a newer one; who set JAVA_HOME to it is told why another was taken."""
    other = java_saying(
        tmp_path / "other", version, modules="java.base" if version == "1.8" else "jdk.incubator.vector"
    )
    fitting = java_saying(tmp_path / "fitting", "21")
    found = tools.java({"JAVA_HOME": str(tmp_path / "other"), "PATH": f"{fitting.parent}:/bin"}, tmp_path)
    assert found == tools.Java(tmp_path / "fitting", fitting, 21)
    assert (
        f"taking Java 21 in {tmp_path / 'fitting'}: Spark needs 17 or 21, and {other} {why}"
        in capsys.readouterr().out
    )


def test_a_java_that_fits_is_taken_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is said where nothing is remarkable."""
    java_saying(tmp_path / "java", "17")
    tools.java({"JAVA_HOME": str(tmp_path / "java"), "PATH": ""}, tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "place",
    [".sdkman/candidates/java/21.0.8-tem", "Library/Java/JavaVirtualMachines/openjdk-21.jdk/Contents/Home"],
)
def test_java_is_found_where_it_usually_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Neither SDKMAN nor macOS puts what it installs on PATH or into JAVA_HOME of every shell."""
    monkeypatch.setattr(tools, "_JAVA_HOMES", tuple(home for home in tools._JAVA_HOMES if home.startswith("~")))
    java_saying(tmp_path / place, "21")
    assert tools.java({"HOME": str(tmp_path), "PATH": ""}, tmp_path / "tools").home == tmp_path / place


def test_where_no_java_fits_every_one_found_is_told_with_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remedy is not "install Java" for somebody who has three of them."""
    monkeypatch.setattr(tools, "_JAVA_HOMES", (str(tmp_path / "jvm/*"),))
    small = java_saying(tmp_path / "jvm/a", "21", modules="java.base")
    new = java_saying(tmp_path / "jvm/b", "25")
    broken = java_saying(tmp_path / "jvm/c", "17")
    broken.write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "jvm/d").symlink_to(tmp_path / "jvm/b")
    asked: list[str] = []

    def offline(version: str, **_: object) -> None:
        asked.append(version)
        raise OSError("no route to host")

    monkeypatch.setattr("jdk.install", offline)
    with pytest.raises(ToolError) as raised:
        tools.java({"PATH": ""}, tmp_path / "tools")
    told = str(raised.value)
    assert (
        f"{small} is Java 21 without jdk.incubator.vector, so no full JDK; {new} is Java 25; {broken} does" in told
    )
    assert "17 or 21" in told
    assert "no route to host" in told
    assert str(tmp_path / "jvm/d") not in told
    assert asked == ["21"]


def test_a_missing_environment_names_the_command(tmp_path: Path) -> None:
    """Who has no BigQuery emulator is told how to get it."""
    with pytest.raises(ToolError, match="make setup"):
        tools.bigquery_python(tmp_path)
