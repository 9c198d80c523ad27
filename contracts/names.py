"""Run ids, markets and object names: every identifier that becomes part of a path or a resource name.

Identity is derived, never drawn: a redelivery makes the same name and collides harmlessly. Whatever comes
from outside is validated here before it becomes a path.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field, StringConstraints

from contracts.wording import shown

MARKETS: Final = tuple(
    (
        "AD AL AM AT AZ BA BE BG BY CH CY CZ DE DK EE ES FI FR GB GE GR HR HU IE "
        "IS IT LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS SE SI SK SM TR UA XK"
    ).split(" ")
)
"""The European markets of a weekly run, as Spotify codes them (XK is Kosovo, outside ISO 3166)."""

_MARKET: Final = "[A-Z]{2}"


def _real_date(value: str) -> str:
    try:
        date.fromisoformat(value)
    except ValueError:
        raise ValueError("is not a calendar date; write it as 2026-11-23") from None
    return value


MOST_AHEAD: Final = timedelta(days=8)
"""How far ahead a run may be dated: the next tick of a weekly schedule is seven days off at most, and a date is a day
sooner in some zones. A later date is a mistyped year."""


def is_too_far_ahead(run_id: str, today: date) -> bool:
    """Whether no tick can mean this run yet."""
    return date.fromisoformat(run_id) - today > MOST_AHEAD


RAW_DAYS: Final = 90
"""Days that a raw object lives, where nothing else is said (`raw_days` in infra/variables.tf)."""

RunId = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    AfterValidator(_real_date),
]
"""A run is one date in the schedule's time zone, such as `2026-11-23`."""

Market = Annotated[str, StringConstraints(pattern=f"^{_MARKET}$")]
"""A market is two capital letters, such as `DK`."""


def market_fault(codes: Sequence[str]) -> str | None:
    """What is wrong with a list of markets that a person wrote, and the remedy; None if nothing is."""
    wrong = [shown(code) for code in codes if not re.fullmatch(_MARKET, code)]
    faults = [f"{', '.join(wrong)} is not a market; write two capital letters, such as DK"] if wrong else []
    if twice := sorted({code for code in codes if codes.count(code) > 1}):
        faults.append(f"{', '.join(map(shown, twice))} is named twice; name each once")
    return "; ".join(faults) or None


Revision = Annotated[int, Field(ge=1, le=9999)]
"""Number of a decision of a run; four digits in an object name."""


def raw_prefix(run_id: str) -> str:
    """Where the parts of a run lie."""
    return f"raw/{run_id}/"


def part_name(run_id: str, market: str) -> str:
    """The raw object of one market of a run."""
    return f"{raw_prefix(run_id)}{market}.jsonl.gz"


def run_prefix(run_id: str) -> str:
    """Where the documents of a run lie."""
    return f"runs/{run_id}/"


_NUMBERED: Final = "decisions|receipts|announced|loads|clusters|jobs|orders|reopenings|repairs|looks|askings"
_RUN_OBJECT: Final = re.compile(
    rf"runs/(?P<run>[^/]*)/(manifest|(?P<folder>{_NUMBERED})/(?P<number>(?!0000)[0-9]{{4}})"
    rf"|(?P<of_market>dead-letters|throttled)/(?P<market>{_MARKET})"
    r"|(?P<notices>notices)/(?P<revision>(?!0000)[0-9]{4})-[0-9a-f]{8})\.json"
)


class RunObject(NamedTuple):
    """What the name of a run's document says."""

    run_id: str
    folder: str = ""
    """Such as `decisions`; empty for the manifest."""
    number: int = 0
    """Where the folder's objects are numbered."""
    market: str = ""
    """Where there is one for each market."""


def parse_run_object(name: str) -> RunObject | None:
    """Which document of a run an object is, or None for a stranger, which nobody reads."""
    match = _RUN_OBJECT.fullmatch(name)
    if match is None or not is_run_id(match["run"]):
        return None
    folder, number = (
        match["folder"] or match["of_market"] or match["notices"],
        match["number"] or match["revision"],
    )
    return RunObject(match["run"], folder or "", int(number or 0), match["market"] or "")


def manifest_name(run_id: str) -> str:
    """What the run expects."""
    return f"runs/{run_id}/manifest.json"


def decision_name(run_id: str, revision: int) -> str:
    """One decision of a run."""
    return f"runs/{run_id}/decisions/{revision:04}.json"


def receipt_name(run_id: str, revision: int) -> str:
    """What became of one decision."""
    return f"runs/{run_id}/receipts/{revision:04}.json"


def load_name(run_id: str, revision: int) -> str:
    """What the Spark job of one decision counted; the job writes it after its load."""
    return f"runs/{run_id}/loads/{revision:04}.json"


def given_up_name(run_id: str, market: str) -> str:
    """Why one market was given up."""
    return f"runs/{run_id}/dead-letters/{market}.json"


CanaryId = Annotated[str, StringConstraints(pattern=r"^[0-9a-z-]{8,40}$")]
"""One proof by canary; part of an object's name."""


def canary_name(canary_id: str, subscription: str) -> str:
    """The note that a canary came through one subscription."""
    return f"canaries/{canary_id}/{source_subscription(subscription)}.json"


DEAD_LETTERS_PREFIX: Final = "dead-letters/"
"""Where every message that was given up is recorded, whichever subscription gave it up."""

UNKNOWN_SUBSCRIPTION: Final = "unknown"
"""Stands for the source of a dead letter that names none, or names what cannot be a subscription."""


def dead_letter_name(subscription: str, message_id: str) -> str:
    """The record of one dead letter; whatever cannot be part of a path is replaced by its digest."""
    return f"{DEAD_LETTERS_PREFIX}{source_subscription(subscription)}/{_path_part(message_id)}.json"


def source_subscription(value: str) -> str:
    """A subscription's short name, or `unknown` for any other text.

    Source: cloud.google.com/pubsub/docs/pubsub-basics#resource_names, narrowed to what is safe in a path.
    """
    return value if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{2,254}", value) else UNKNOWN_SUBSCRIPTION


def _path_part(message_id: str) -> str:
    """Pub/Sub's message ids are digits today and promise nothing: another form is kept, but never as a path."""
    if re.fullmatch(r"[0-9A-Za-z_-]{1,128}", message_id):
        return message_id
    return f"sha256-{hashlib.sha256(message_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def throttled_name(run_id: str, market: str) -> str:
    """Until when one market waits for Spotify's quota."""
    return f"runs/{run_id}/throttled/{market}.json"


def clusters_prefix(run_id: str) -> str:
    """Where the cluster attempts of a run are claimed."""
    return f"runs/{run_id}/clusters/"


def cluster_claim_name(run_id: str, attempt: int) -> str:
    """The claim on one cluster attempt, written before the cluster is created."""
    return f"{clusters_prefix(run_id)}{attempt:04}.json"


def order_name(run_id: str, number: int) -> str:
    """One order of an operator, from 1."""
    return f"runs/{run_id}/orders/{number:04}.json"


def reopening_name(run_id: str, number: int) -> str:
    """The note that an order to reopen was obeyed, written after the missing markets were asked for again."""
    return f"runs/{run_id}/reopenings/{number:04}.json"


def repair_name(run_id: str, revision: int) -> str:
    """The note that bad or vanished parts of a revision were asked for again, written after the asking."""
    return f"runs/{run_id}/repairs/{revision:04}.json"


def asking_name(run_id: str, slot: int) -> str:
    """The claim on asking again for the missing markets of a run in one interval."""
    return f"runs/{run_id}/askings/{slot:04}.json"


def job_claims_prefix(run_id: str) -> str:
    """Where the jobs of a run are claimed, one after the other."""
    return f"runs/{run_id}/jobs/"


def job_claim_name(run_id: str, number: int) -> str:
    """The claim on being the run's next job, written before the job is submitted."""
    return f"{job_claims_prefix(run_id)}{number:04}.json"


def announced_name(run_id: str, revision: int) -> str:
    """The note that a receipt was announced, written after its event was published."""
    return f"runs/{run_id}/announced/{revision:04}.json"


def look_name(run_id: str, revision: int) -> str:
    """What the second look found in the table, hours after the newest revision was finished."""
    return f"runs/{run_id}/looks/{revision:04}.json"


def notice_name(run_id: str, revision: int, address: str) -> str:
    """The claim on telling one address of one receipt, and the note that it was told; the address is its digest."""
    return f"runs/{run_id}/notices/{revision:04}-{address}.json"


def quarantine_prefix(run_id: str, revision: int) -> str:
    """Where the Spark job keeps the records it could not read."""
    return f"quarantine/{run_id}/{revision:04}/"


def album_cache_name(album_id: str) -> str:
    """An album with all its tracks, kept between weeks. The caller has checked the id (`is_spotify_id`)."""
    return f"cache/albums/{album_id}.json.gz"


def is_spotify_id(value: object) -> bool:
    """Whether a value is a base-62 Spotify id and therefore safe in a path and in a query.

    Source: developer.spotify.com/documentation/web-api/concepts/spotify-uris-ids ("base-62 identifier").
    """
    return isinstance(value, str) and re.fullmatch(r"[0-9A-Za-z]{1,64}", value) is not None


class PartKey(NamedTuple):
    """Which part an object is."""

    run_id: str
    market: str


_PART = re.compile(rf"raw/([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})/({_MARKET})\.jsonl\.gz")


def parse_part_name(name: str) -> PartKey | None:
    """The part an object name stands for, or None where the object is not a part."""
    match = _PART.fullmatch(name)
    if match is None:
        return None
    try:
        date.fromisoformat(match[1])
    except ValueError:
        return None
    return PartKey(match[1], match[2])


def is_run_id(value: str) -> bool:
    """Whether a text is a run id: a calendar date written as `2026-11-23`."""
    try:
        return len(value) == len("2026-11-23") and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def cluster_name(run_id: str, attempt: int) -> str:
    """Name of the run's cluster, 1 to 51 of `[a-z0-9-]` as Dataproc demands; a new attempt is a new name."""
    return f"new-releases-{run_id.replace('-', '')}-c{attempt}"


def job_id(run_id: str, revision: int, attempt: int) -> str:
    """Id of the Spark job of one decision; unique in the project, at most 100 of `[A-Za-z0-9_-]`."""
    return f"new-releases-{run_id.replace('-', '')}-r{revision}-a{attempt}"


_RESOURCE = re.compile(r"new-releases-([0-9]{4})([0-9]{2})([0-9]{2})-(?:c[0-9]+|r[0-9]+-a[0-9]+)")


def run_of_resource(name: str) -> str | None:
    """The run that a cluster name or job id was derived from, or None where it is not one of ours."""
    match = _RESOURCE.fullmatch(name)
    run_id = "-".join(match.groups()) if match else ""
    return run_id if is_run_id(run_id) else None


@lru_cache(maxsize=16)
def trace_id(run_id: str) -> str:
    """The W3C trace id of a run, 32 hexadecimal digits: the same from the tick to the receipt."""
    return hashlib.sha256(f"run/{run_id}".encode()).hexdigest()[:32]


def traceparent(run_id: str, step: str) -> str:
    """A W3C traceparent for one step of a run. Source: w3.org/TR/trace-context, section 3.2."""
    span = hashlib.sha256(f"run/{run_id}/{step}".encode()).hexdigest()[:16]
    return f"00-{trace_id(run_id)}-{span}-01"
