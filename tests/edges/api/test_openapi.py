"""The OpenAPI document: made from the table, kept in docs, and true."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.support.admin_api import Program, mounted
from tests.support.browser import Browser
from tests.support.site import Site

from muster.domain.errors import RefusalCode
from muster.edges.api.endpoints import Endpoint, Stream
from muster.edges.api.openapi import make_document
from muster.edges.api.table import TABLE, openapi_page
from muster.storage.sqlite import SqliteEngine

KEPT = Path(__file__).parents[3] / "docs/api/openapi.json"


def test_the_document_in_docs_is_that_of_the_code() -> None:
    assert KEPT.read_text() == openapi_page(), "run `make manual`"


def test_the_document_is_served_to_everybody(sqlite_engine: SqliteEngine) -> None:
    stranger = Program(Browser(mounted(Site(sqlite_engine))), "")

    assert stranger.get("/openapi.json") == make_document(TABLE)


def test_every_schema_is_one() -> None:
    for schema in make_document(TABLE)["components"]["schemas"].values():
        jsonschema_rs.meta.validate({**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"})


@pytest.mark.parametrize("one", TABLE, ids=lambda one: one.name)
def test_every_endpoint_says_what_it_does(one: Endpoint) -> None:
    assert one.says.split("\n")[0].endswith(".")


def test_every_operation_has_a_name_of_its_own() -> None:
    assert len({one.name for one in TABLE}) == len(TABLE)


def test_every_code_of_a_refusal_is_in_the_document() -> None:
    codes = make_document(TABLE)["components"]["schemas"]["ProblemDocument"]["properties"]["code"]["enum"]

    assert {code.value for code in RefusalCode} <= set(codes)


def test_what_is_taken_has_no_members_that_nobody_knows() -> None:
    document: Any = make_document(TABLE)
    bodies = [
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for path in document["paths"].values()
        for operation in path.values()
        if "requestBody" in operation
    ]

    assert all(document["components"]["schemas"][name]["additionalProperties"] is False for name in bodies)


def test_streams_are_text() -> None:
    assert all(one.media_types != ("application/json",) for one in TABLE if one.gives is Stream)
