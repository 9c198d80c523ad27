"""The same handler as a Cloud Function: decode the message, look for what a market request must have, acknowledge.

Loaded by functions-framework, in the peers' own environment, so it imports nothing of ours. It checks less than we
do: no types, no unknown market, no fault by name.
"""

import base64
import json
import logging
from typing import Any

import functions_framework  # type: ignore[import-not-found]  # of the peers' environment

log = logging.getLogger(__name__)


@functions_framework.cloud_event  # type: ignore[untyped-decorator]  # the same
def handle(event: Any) -> None:
    """Take a Pub/Sub message as Eventarc wraps it."""
    message = event.data["message"]
    data = json.loads(base64.b64decode(message["data"]))
    if message["attributes"]["ce-type"] != "newreleases.market.requested.v1":
        raise ValueError("another event")
    log.info("handled %s %s", data["run_id"], data["market"])
