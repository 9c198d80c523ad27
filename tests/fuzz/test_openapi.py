"""The OpenAPI document against each service: schemathesis makes requests that fit it and requests that do not.

`make fuzz` tries more.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    missing_required_header,
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)

from contracts.openapi import openapi
from tests.fuzz.serving import Running, serving
from tests.registry import SERVICES

EXAMPLES = int(os.environ.get("FUZZ", "20"))
SCHEMA = schemathesis.openapi.from_dict(openapi())
_JUDGED_HERE = [
    not_a_server_error,  # 503 is an answer of ours; any other 5xx fails below
    negative_data_rejection,  # an event with a field too many is accepted on purpose
    positive_data_acceptance,  # an event for another service is refused on purpose
    missing_required_header,  # no header is required of all three shapes
    unsupported_method,  # the platform asks with HEAD as well
]


@pytest.fixture(scope="module", params=SERVICES)
def service(request: pytest.FixtureRequest) -> Iterator[Running]:
    """Each service in turn."""
    with serving(request.param) as running:
        yield running


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@SCHEMA.parametrize()
def test_every_answer_is_one_the_document_names(case: schemathesis.Case[Any], service: Running) -> None:
    """Whatever is sent, the answer is as documented, and no name in the bucket comes from it unchecked."""
    service.store.forget()
    response = case.call(base_url=service.url)
    case.validate_response(response, excluded_checks=_JUDGED_HERE)
    assert response.status_code < 500 or response.status_code == 503
    assert "unexpected fault" not in response.text
    assert service.store.strays() == []
