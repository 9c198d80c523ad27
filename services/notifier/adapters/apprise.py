"""Sends through Apprise, which knows the ways of a hundred services by their addresses."""

import asyncio
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from eventing.deadlines import CALL, Deadline
from eventing.errors import Retryable
from services.notifier.decisions import MOST_ADDRESSES
from services.notifier.ports import Address, Message

_TALKATIVE: Final = ("urllib3", "oauthlib", "requests_oauthlib")
"""They log addresses, tokens and all, where everything is logged."""


class AppriseSender:
    """A `Sender` on Apprise's (blocking) plugins."""

    def __init__(self, deadline: Deadline = CALL) -> None:
        self._deadline = deadline
        self._pool = ThreadPoolExecutor(MOST_ADDRESSES, thread_name_prefix="apprise")

    async def send(self, address: Address, message: Message) -> None:
        """See `Sender.send`. Whatever went wrong, only what we say about it leaves: its text may hold the address."""
        sending = asyncio.get_running_loop().run_in_executor(self._pool, self._fault, address.url, message)
        try:
            fault = await asyncio.wait_for(sending, self._deadline.seconds)
        except TimeoutError:
            fault = f"did not answer within {self._deadline.seconds:g} s"
        if fault:
            raise Retryable(fault)

    def _fault(self, url: str, message: Message) -> str | None:
        try:
            return self._send(url, message)
        except Exception as error:  # noqa: BLE001 -- a plugin may raise anything, with the address in its words
            return f"failed with {type(error).__name__}"

    def _send(self, url: str, message: Message) -> str | None:
        import apprise  # noqa: PLC0415 -- two seconds and 275 modules, for nothing where nobody is to be told

        _hush()
        service = apprise.Apprise(asset=apprise.AppriseAsset(app_id="New Releases", secure_logging=True))
        if not service.add(url):
            return "is no address that Apprise knows; mend NOTIFY_URLS or its secret"
        seconds = self._deadline.retries_seconds
        sent = service.notify(
            message.body, title=message.title, body_format=apprise.NotifyFormat.TEXT, timeout=seconds
        )
        return None if sent else f"was refused{_status(sent)}"

    def close(self) -> None:
        """Wait for nobody."""
        self._pool.shutdown(wait=False)


def _status(result: Any) -> str:
    """The status of the answer, where Apprise's own words have it; nothing else of them."""
    found = re.search(r"error=(\d{3})\b", " ".join(str(entry) for entry in result.logs()))
    return f" with {found[1]}" if found else ""


def _hush() -> None:
    """Nothing but what we say goes to the log."""
    apprise = logging.getLogger("apprise")
    apprise.propagate = False
    if not apprise.handlers:
        apprise.addHandler(logging.NullHandler())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.INFO)
