"""Schemathesis asks everything that the OpenAPI document offers, as it has it and otherwise: what is answered is true.

The site has some devices and a group, and tokens of an owner and of somebody who is limited to that group. No answer is
a fault of ours, each has a status, a type and a body that the document has, and what the document forbids is refused.
What is generated is sent by a browser of ours, for schemathesis' own would ask from another thread.
"""

from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis.openapi
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, CheckFunction, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.support.admin_api import make_token, mounted
from tests.support.browser import Browser
from tests.support.pushed_fleet import add_fleet
from tests.support.site import Site

from muster.domain.roles import Role
from muster.edges.api.endpoints import Endpoint
from muster.edges.api.openapi import ROOT, make_document
from muster.edges.api.table import TABLE
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.storage.sqlite import SqliteEngine

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
EXAMPLES = 3
"""Of each endpoint in each way."""
BASE = f"http://localhost{ROOT}"


@dataclass(frozen=True, slots=True)
class Rig:
    """The application, by which it is asked, and what it says of itself."""

    browser: Browser
    schema: BaseSchema
    tokens: tuple[str, ...]

    def send(self, case: Case[Any], token: str) -> Response:
        """Send a generated request."""
        sent = requests.Request(**_request_of(case)).prepare()
        sent.headers["authorization"] = f"Bearer {token}"
        body: Any = sent.body or b""
        octets = body.encode() if isinstance(body, str) else body
        headers = [(name, _text(value)) for name, value in sent.headers.items()]
        reply = self.browser.ask(str(sent.method), sent.path_url, headers, octets)
        told: dict[str, list[str]] = {}
        for name, value in reply.headers:
            told.setdefault(name, []).append(value)
        return Response(reply.status, told, reply.body, sent, elapsed=0.0, verify=False)


def _request_of(case: Case[Any]) -> dict[str, Any]:
    known = case.as_transport_kwargs(base_url=BASE)
    return {
        name: known[name] for name in ("method", "url", "headers", "params", "json", "data", "files") if name in known
    }


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


@pytest.fixture(scope="module")
def rig(_one_sqlite: SqliteEngine) -> Rig:
    site = Site(_one_sqlite)
    inside, *_ = add_fleet(site, 3)
    site.do(create_groups, GroupOrder("lab", f"id = '{inside}'"))
    app = mounted(site, requests_per_minute=100_000)
    document = make_document(TABLE)
    del document["security"]  # who asks is up to us
    schema = schemathesis.openapi.from_dict(document)
    return Rig(Browser(app), schema, (make_token(site), make_token(site, Role.OPERATOR, "lab")))


def asked(one: Endpoint) -> bool:
    """Tell whether anything about a request can be otherwise than the document has it."""
    return bool(one.parameters) or one.takes is not None or one.body is not None


@pytest.mark.parametrize(
    ("one", "mode"),
    [(one, mode) for one in TABLE for mode in GenerationMode if asked(one) or mode is GenerationMode.POSITIVE],
    ids=lambda value: value.name,
)
def test_whatever_is_asked_is_answered_as_the_document_says(rig: Rig, one: Endpoint, mode: GenerationMode) -> None:
    operation = rig.schema[one.path][one.method]

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def ask(case: Case[Any]) -> None:
        for token in rig.tokens:
            case.validate_response(rig.send(case, token), checks=CHECKS)

    ask()
