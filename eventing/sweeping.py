"""A sweep looks at each run by itself: whatever is wrong with one, the others are looked at all the same."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from eventing.errors import Permanent, Retryable

log = logging.getLogger(__name__)


async def each(runs: Iterable[str], look: Callable[[str], Awaitable[None]]) -> None:
    """Look at many runs at once. A run in trouble is logged with why, and left to the next sweep.

    Raises:
        ExceptionGroup: unexpected errors, once all runs were looked at.
    """
    wanted = list(runs)
    ends = await asyncio.gather(*(look(run_id) for run_id in wanted), return_exceptions=True)
    troubles = {run_id: end for run_id, end in zip(wanted, ends, strict=True) if isinstance(end, Exception)}
    for run_id, error in troubles.items():
        # Waiting does not help, unless it is retryable: somebody has to mend what its reason names.
        level = logging.WARNING if isinstance(error, Retryable) else logging.ERROR
        log.log(level, "sweep_failed", extra={"run_id": run_id, "reason": str(error) or type(error).__name__})
    unexpected = [error for error in troubles.values() if not isinstance(error, Retryable | Permanent)]
    if unexpected:
        raise ExceptionGroup("unexpected errors in a sweep", unexpected)
