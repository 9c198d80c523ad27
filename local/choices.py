"""What a person may choose about a local stack, and the environment its processes get. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final, Literal

from contracts.names import MARKETS, MOST_AHEAD, is_run_id, is_too_far_ahead, market_fault
from contracts.wording import shown
from local.processes import LOOPBACK
from local.spotify import presets
from ops.surroundings import past_proxies

PROJECT: Final = "new-releases-local"
BUCKET: Final = "new-releases"
DATASET: Final = "music"
TABLE: Final = "new_releases"
REGION: Final = "europe-west3"

AppKind = Literal["developer", "extended"]
SIMULATOR_RATE = 1000
"""Calls a second that a stack on the simulator allows itself."""
UTF8: Final = "C.UTF-8"
"""The locale of every process: without it Java finds no file whose path has a letter beyond ASCII."""
_PATTERN_LETTERS: Final = frozenset("*?[]{}\\,:")
_CLIENT_ID = "local-client"
_NOTIFY: Final = "notify-urls"
_CLIENT_SECRET = "local-secret"  # noqa: S105 -- the simulator takes any
# What a process needs from the caller's environment to run at all; everything else is said by the stack.
_KEPT = ("PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy")
_REAL = ("SPOTIFY_API_URL", "SPOTIFY_TOKEN_URL")  # where something stands between us and Spotify


class ChoiceError(ValueError):
    """The environment asks for something there is not; lists every fault."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A Spotify app's own; never printed."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One stack."""

    home: Path
    """Everything the stack writes lies here: logs/, storage/, bigquery/."""
    markets: tuple[str, ...] = MARKETS
    fresh: bool = False
    """Begin with empty data, whatever an earlier stack left in the folder."""
    run_date: str | None = None
    """The run that is asked for; where it is None the scheduler takes the tick's own day."""
    today: date | None = None
    """In the schedule's zone: what the simulator lists where no run is named; None leaves it to its own clock."""
    app: AppKind = "extended"
    """Which kind of Spotify app the simulator takes us for."""
    albums: int = 50
    """Albums of a market, at most."""
    seed: int = 1
    """Of the simulator's catalogue."""
    faults: str | None = None
    """What goes wrong at the simulator: see `local.spotify.presets`."""
    spotify: Credentials | None = None
    """With them the real API is called and there is no simulator."""
    notify: str | None = field(default=None, repr=False)
    """Whom the notifier tells; the addresses hold tokens and are never printed."""
    dashboard: bool = False
    """Serve the dashboard, too."""
    sweep_seconds: float = 5.0
    """Between two sweep ticks; hours in production."""
    service_settings: Mapping[str, str] = field(default_factory=dict)
    """Further variables for the services."""

    @property
    def week(self) -> date | None:
        """A day of the week that the simulator lists: the run's, so that both speak of the same albums."""
        return date.fromisoformat(self.run_date) if self.run_date else self.today


def read(environment: Mapping[str, str], *, home: Path, today: date) -> Choices:
    """Read MARKETS, RUN_DATE, SPOTIFY_{SIMULATOR,FAULTS,CLIENT_ID,CLIENT_SECRET}, NOTIFY_URLS, and check `home`.

    `today` is the day in the schedule's time zone.

    Raises:
        ChoiceError: one of them makes no sense.
    """
    markets = tuple(environment.get("MARKETS", "").replace(",", " ").split()) or MARKETS
    run_date = environment.get("RUN_DATE") or None
    app = environment.get("SPOTIFY_SIMULATOR") or "extended"
    client_id, secret = environment.get("SPOTIFY_CLIENT_ID", ""), environment.get("SPOTIFY_CLIENT_SECRET", "")
    fault = market_fault(markets)
    faults = [f"MARKETS: {fault}"] if fault else []
    if refused := sorted(set(str(home)) & _PATTERN_LETTERS):
        faults.append(
            f"{home}: Spark takes {' '.join(refused)} in a path for a pattern or a list; name another folder in "
            "STACK_DATA, or move the clone"
        )
    if run_date is not None and not is_run_id(run_date):
        faults.append(f"RUN_DATE: {shown(run_date)} is not a date; write it as {date(2026, 11, 23)}")
    elif run_date is not None and is_too_far_ahead(run_date, today):
        faults.append(f"RUN_DATE: {run_date} is more than {MOST_AHEAD.days} days ahead; look at its year")
    if app not in ("developer", "extended"):
        faults.append(f"SPOTIFY_SIMULATOR: {shown(app)} is not known; write developer or extended")
    faults += _simulator_faults(environment.get("SPOTIFY_FAULTS"))
    if bool(client_id) != bool(secret):
        faults.append("SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET: one is missing; set both, or none")
    if not client_id and (unknown := sorted(set(markets) - set(MARKETS))):
        faults.append(f"MARKETS: the simulator does not have {', '.join(unknown)}; it has {', '.join(MARKETS)}")
    if faults:
        raise ChoiceError("\n".join(faults))
    return Choices(
        home=home,
        markets=markets,
        run_date=run_date,
        today=today,
        app="developer" if app == "developer" else "extended",
        faults=environment.get("SPOTIFY_FAULTS") or None,
        spotify=Credentials(client_id, secret) if client_id else None,
        notify=environment.get("NOTIFY_URLS") or None,
    )


def _simulator_faults(text: str | None) -> list[str]:
    try:
        presets.read(text or "[]")
    except (ValueError, OSError) as error:
        return [f"SPOTIFY_FAULTS: {error}"]
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the stack's processes are."""

    pubsub: str
    """host:port, as the four that follow are unless they begin with http."""
    storage: str
    bigquery: str
    dataproc: str
    secret_manager: str
    simulator: str | None
    """None: the real API is used."""
    services: Mapping[str, str]
    """URL of each service."""
    dashboard: str | None = None
    """URL; None where none is served."""


def client_environment(addresses: Addresses) -> dict[str, str]:
    """With these any Google client reaches the stack."""
    return {
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "BUCKET": BUCKET,
        "BIGQUERY_DATASET": DATASET,
        "BIGQUERY_TABLE": TABLE,
        "REGION": REGION,
        "PUBSUB_EMULATOR_HOST": addresses.pubsub,
        "STORAGE_EMULATOR_HOST": addresses.storage,
        "BIGQUERY_EMULATOR_HOST": addresses.bigquery,
        "DATAPROC_EMULATOR_HOST": addresses.dataproc,
        "SECRET_MANAGER_EMULATOR_HOST": addresses.secret_manager,
    }


def base_environment(caller: Mapping[str, str], *, root: Path, java_home: Path) -> dict[str, str]:
    """What every process of the stack gets: little of the caller's, so that nothing leaks in by accident."""
    kept = {name: caller[name] for name in _KEPT if name in caller}
    kept["PATH"] = f"{java_home / 'bin'}:{kept.get('PATH', '/usr/bin:/bin')}"
    own = {"PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1", "JAVA_HOME": str(java_home), "LC_ALL": UTF8}
    return {**kept, **past_proxies(caller), **own}


def service_environment(
    choices: Choices, addresses: Addresses, caller: Mapping[str, str], base: Mapping[str, str]
) -> dict[str, str]:
    """What the services get besides their PORT."""
    told = {**base, **client_environment(addresses), "HOST": LOOPBACK, "MARKETS": ",".join(choices.markets)}
    told["ALBUMS_PER_MARKET"] = str(choices.albums)
    told["LINGER"] = "0"  # the Pub/Sub emulator pushes two at a time: waiting for more gathers nothing
    for half in ("CLIENT_ID", "CLIENT_SECRET"):
        told[f"SPOTIFY_{half}_SECRET"] = _newest(secret_name(half))
    if choices.notify:
        told["NOTIFY_URLS_SECRET"] = _newest(_NOTIFY)
    if addresses.dashboard:
        told["DASHBOARD_URL"] = addresses.dashboard
    if addresses.simulator:
        told["SPOTIFY_API_URL"] = f"{addresses.simulator}/v1"
        told["SPOTIFY_IMAGES_URL"] = f"{addresses.simulator}/image"
        told["SPOTIFY_TOKEN_URL"] = f"{addresses.simulator}/api/token"
        # The simulator has no quota worth saving, and of two markets at a time a batch is seldom full.
        told |= {"SPOTIFY_RATE": str(SIMULATOR_RATE), "SPOTIFY_BATCH_QUIET": "0.005"}
    else:
        told |= {name: caller[name] for name in (*_PROXIES, *_REAL) if name in caller}
    return {**told, **choices.service_settings}


def secret_name(half: str) -> str:
    """The secret that holds one half of the credentials, CLIENT_ID or CLIENT_SECRET."""
    return f"spotify-{half.lower().replace('_', '-')}"


def _newest(secret: str) -> str:
    return f"projects/{PROJECT}/secrets/{secret}/versions/latest"


def secrets(choices: Choices) -> dict[str, str]:
    """What the Secret Manager stand-in keeps, by secret."""
    spotify = choices.spotify or Credentials(_CLIENT_ID, _CLIENT_SECRET)
    kept = {secret_name("CLIENT_ID"): spotify.client_id, secret_name("CLIENT_SECRET"): spotify.client_secret}
    return kept | ({_NOTIFY: choices.notify} if choices.notify else {})
