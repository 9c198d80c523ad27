"""Times that a document or a message may tell: years in which there are runs, so that one can calculate with any."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime

_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2999


def plausible(moment: datetime) -> datetime:
    """The same moment.

    Raises:
        ValueError: no time zone, deadline or duration could be added without leading out of the calendar.
    """
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"is not in the years {_FIRST_YEAR} to {_LAST_YEAR}; write it as 2026-11-23T00:00:00Z")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(plausible)]
"""A time with its zone."""
