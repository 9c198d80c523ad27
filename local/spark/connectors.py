"""Google's connectors, which Dataproc's image has and Spark alone has not: found in `.tools/`, or fetched into it.

    python -m local.spark.connectors [storage]

fetches both, or the one without which nothing runs here. They come from where Spark's own `--packages` come from:
Ivy, which lies among pyspark's jars, knows the place, so that none is named here. The Cloud Storage connector is pinned
to the file on the image. BigQuery's is not served everywhere; where it is not, a stand-in takes its place
(`local.spark.data_source`).
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from local import tools
from ops.surroundings import print_anywhere

FOLDER: Final = tools.ROOT / ".tools" / "connectors"
_WITHIN: Final = 180.0  # seconds; about 3 on a usual line


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """One jar, as it is published."""

    title: str
    organisation: str
    module: str
    revision: str
    classifier: str = ""
    size: int | None = None
    """Bytes; None where the file is not pinned, and Ivy alone compares it with the checksum published beside it."""
    sha256: str = ""

    @property
    def file(self) -> str:
        """The name under which it is published and kept."""
        return f"{self.module}-{self.revision}{self.classifier and f'-{self.classifier}'}.jar"


STORAGE: Final = Connector(
    title="Google's Cloud Storage connector",
    organisation="com.google.cloud.bigdataoss",
    module="gcs-connector",
    revision="4.0.4",  # as on Dataproc's image 3.0
    classifier="shaded",
    size=40_521_713,
    sha256="dfb5832738686436e597026a8e4bab01aa22e75ebfb15d37d096981f6599d73c",
)
BIGQUERY: Final = Connector(
    title="Google's BigQuery connector",
    organisation="com.google.cloud.spark",
    module="spark-4.1-bigquery",
    revision="0.45.0",  # as BIGQUERY_CONNECTOR_VERSION
)


@dataclass(frozen=True, slots=True)
class Connectors:
    """Those that a job gets on its class path."""

    storage: Path
    bigquery: Path | None = None
    """None: the stand-in writes."""

    @property
    def jars(self) -> tuple[Path, ...]:
        """In the order of the class path."""
        return (self.storage,) if self.bigquery is None else (self.storage, self.bigquery)


def found(java_home: Path, environment: Mapping[str, str], folder: Path = FOLDER) -> Connectors:
    """The connectors for this clone: Cloud Storage's is fetched where it is not there, BigQuery's is taken if it is.

    Raises:
        ToolError: the Cloud Storage connector is not there and cannot be fetched.
    """
    if "!/" in f"{folder.resolve()}":
        raise tools.ToolError(
            f"{folder.resolve()}: Java reads no jar in a folder whose name ends in '!'; name the folder otherwise"
        )
    # The real path, since a jar is recorded in the class archive by its path.
    bigquery = (folder / BIGQUERY.file).resolve()
    return Connectors(fetch(STORAGE, java_home, environment, folder), bigquery if bigquery.is_file() else None)


def fetch(connector: Connector, java_home: Path, environment: Mapping[str, str], folder: Path = FOLDER) -> Path:
    """The connector's jar in this folder, fetched unless it is there; whole, or not at all.

    Raises:
        ToolError: it cannot be fetched, or is not the file that is pinned; says where to put it by hand.
    """
    jar = folder / connector.file
    if not jar.is_file():
        print(f"fetching {connector.title} {connector.revision} into {folder}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            arrived = _retrieve(connector, java_home, environment, Path(scratch))
            _verify(connector, arrived)
            arrived.replace(jar)
    return jar.resolve()


def _retrieve(connector: Connector, java_home: Path, environment: Mapping[str, str], scratch: Path) -> Path:
    command = ivy_command(connector, java_home, environment, scratch)
    try:
        done = subprocess.run(
            command, cwd=scratch, capture_output=True, text=True, check=False, timeout=_WITHIN, errors="replace"
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _unfetched(connector, str(error)) from error
    arrived = scratch / connector.file
    if not arrived.is_file():
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if "::::" not in line]
        raise _unfetched(connector, "; ".join([line for line in said if line][-3:]) or "Ivy said nothing")
    return arrived


def ivy_command(
    connector: Connector, java_home: Path, environment: Mapping[str, str], scratch: Path
) -> list[str | Path]:
    """Word Ivy's command line, and write the two files that it reads."""
    settings, wanted = scratch / "settings.xml", scratch / "ivy.xml"
    settings.write_text(_SETTINGS, encoding="utf-8")
    wanted.write_text(_wanted(connector), encoding="utf-8")
    [ivy] = _pyspark_jars().glob("ivy-*.jar")
    pattern = f"{scratch}/[artifact]-[revision](-[classifier]).[ext]"
    asked: list[str | Path] = ["-settings", settings, "-ivy", wanted, "-cache", scratch / "cache"]
    return [java_home / "bin" / "java", *proxy_options(environment), "-jar", ivy, *asked, "-retrieve", pattern]


def _pyspark_jars() -> Path:
    """Where they lie; pyspark itself takes half a second to import."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise tools.ToolError("pyspark is not installed in this environment; run: make setup")
    return Path(spec.origin).parent / "jars"


# Without the descriptors of what a connector was once built from, which it carries: reading them takes a minute.
_SETTINGS: Final = """<ivysettings>
  <settings defaultResolver="central"/>
  <resolvers><ibiblio name="central" m2compatible="true" usepoms="false" useMavenMetadata="false"/></resolvers>
</ivysettings>
"""


def _wanted(connector: Connector) -> str:
    classifier = f' m:classifier="{connector.classifier}"' if connector.classifier else ""
    return f"""<ivy-module version="2.0" xmlns:m="http://ant.apache.org/ivy/maven">
  <info organisation="local" module="connectors"/>
  <dependencies>
    <dependency org="{connector.organisation}" name="{connector.module}" rev="{connector.revision}" transitive="false">
      <artifact name="{connector.module}" type="jar" ext="jar"{classifier}/>
    </dependency>
  </dependencies>
</ivy-module>
"""


def proxy_options(environment: Mapping[str, str]) -> list[str]:
    """The caller's proxy in Java's words, which does not read the environment."""
    told = environment.get("HTTPS_PROXY") or environment.get("https_proxy") or ""
    proxy = urlsplit(told if "//" in told else f"//{told}")
    if not proxy.hostname:
        return []
    return [f"-Dhttps.proxyHost={proxy.hostname}", f"-Dhttps.proxyPort={proxy.port or 80}"]


def _verify(connector: Connector, jar: Path) -> None:
    size, digest = jar.stat().st_size, tools.digest(jar)
    if connector.size is not None and (size, digest) != (connector.size, connector.sha256):
        raise _unfetched(
            connector,
            f"{size} bytes with SHA-256 {digest} arrived; pinned are {connector.size} with {connector.sha256}",
        )


def _unfetched(connector: Connector, why: str) -> tools.ToolError:
    return tools.ToolError(
        f"{connector.title} is not here and could not be fetched: {why}. Try again; where Maven's repository cannot "
        f"be reached, get {connector.organisation}:{connector.module}:{connector.revision}"
        f"{connector.classifier and f' (classifier {connector.classifier})'} from your own mirror and put it at "
        f"{FOLDER / connector.file}"
    )


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Fetch the Cloud Storage connector and, unless it alone is asked for, BigQuery's where it is served.

    Raises:
        ToolError: the Cloud Storage connector cannot be had.
    """
    java_home = tools.java(environment, tools.ROOT / ".tools").home
    print(f"{STORAGE.title}: {fetch(STORAGE, java_home, environment)}")
    if "storage" in arguments:
        return
    try:
        print(f"{BIGQUERY.title}: {fetch(BIGQUERY, java_home, environment)}")
    except tools.ToolError as error:
        print(f"{error}. Without it the stand-in in local/spark/data_source writes to BigQuery, as it did.")


if __name__ == "__main__":
    print_anywhere()
    try:
        main(sys.argv[1:], os.environ)
    except tools.ToolError as problem:
        sys.exit(f"{problem}")
