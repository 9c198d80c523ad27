"""The part: one market's raw object, as much a contract as an event. Its line, and what stands beside the object.

The market fetcher writes it, the barrier reads the metadata, the Spark job the lines. A part lies in the bucket for
weeks and is loaded again, so every form that was ever written stays readable: form 1 had neither numbers on its lines
nor most of the counts, form 2 nothing that was derived.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.columns import derived_schema
from contracts.faults import ContractError, faults_of
from contracts.names import Market, RunId

FORM: Final = 3
"""The form that is written now."""


class PartLine(BaseModel):
    """One line: an album as a market lists it. Gzip JSON lines, UTF-8, each ended by a line feed, in listed order."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    market: Market
    run_id: RunId
    source: str
    """How the market was listed: `browse` or `search`."""
    fetched_at: str
    """When the listing was read, UTC, as `2026-11-23T05:00:00Z`."""
    number: int | None = Field(default=None, ge=1)
    """Which line of the part this is, from 1. Form 1 has none."""
    derived: dict[str, Any] = Field(default_factory=dict, json_schema_extra={"properties": derived_schema()})
    """What the fetcher worked out of the album, by the table's column, as far as it could. Forms 1 and 2 have none."""
    album: dict[str, Any]
    """Spotify's album with all its tracks in `tracks.items`; the last key of the line."""


class PartMetadata(BaseModel):
    """What is known about a part without reading it: the object's metadata, in which each value is text."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, alias_generator=lambda name: name.replace("_", "-")
    )

    form: int = Field(default=1, ge=1)
    album_count: int = Field(ge=0)
    """Albums in the part, which is its number of lines."""
    track_count: int = Field(ge=0)
    """Entries in all `tracks.items`, null ones not counted."""
    albums_listed: int | None = Field(default=None, ge=0)
    """Distinct albums that the listing named: `album_count`, `albums_gone` and `albums_unusable` together."""
    albums_gone: int = Field(default=0, ge=0)
    """Listed albums of which Spotify said twice, minutes apart, that it does not have them."""
    albums_unusable: int = Field(default=0, ge=0)
    """Listed albums for which the answer cannot be an album."""
    albums_short: int = Field(default=0, ge=0)
    """Albums in the part with fewer tracks than Spotify says they have."""
    tracks_short: int = Field(default=0, ge=0)
    """Tracks that those albums lack."""
    odd_values: int = Field(default=0, ge=0)
    """Fields whose value had another type than documented and became null."""
    empty: bool = False
    """Whether the market had no new album, and said so: a part without lines that is whole."""

    def to_text(self) -> dict[str, str]:
        """As it is written beside the object."""
        told = self.model_dump(by_alias=True, exclude_none=True)
        return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in told.items()}

    def fault(self) -> str | None:
        """Why this is not a whole part, whatever its lines are; None if nothing speaks against it."""
        if self.empty and self.album_count:
            return f"it says of itself both that it is empty and that it has {self.album_count} albums"
        known = self.album_count + self.albums_gone + self.albums_unusable
        if self.albums_listed is not None and self.albums_listed != known:
            return f"{self.albums_listed} albums were listed, it tells of {known}"
        if self.form > 1 and not known and not self.empty:
            return "it has no album and does not say that the market had none"
        return None

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> "PartMetadata":
        """Read what stands beside an object.

        Raises:
            ContractError: no fetcher wrote it, of whatever form; names every fault.
        """
        try:
            return cls.model_validate(dict(metadata))
        except ValidationError as error:
            raise ContractError(faults_of(error)) from error
