"""The OpenAPI document (3.1.0), made from the table of endpoints: it says what is, for nothing else is written down."""

import json
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, Final, get_type_hints

from muster.domain.permissions import LEAST_ROLE
from muster.edges.api.endpoints import Endpoint, Stream
from muster.edges.api.limits import MAXIMUM_PART, PLAIN_PATTERN
from muster.edges.api.problems import KINDS, MEDIA_TYPE, ProblemDocument
from muster.edges.api.schemas import Schemas
from muster.edges.api.writing import plain

ROOT: Final = "/api/v1"
VERSION: Final = "1"
"""Of the interface, not of Muster: members may be added to answers, and nothing else changes within it."""
_ALWAYS: Final = (400, 401, 403, 429, 500, 503)
_WITH_BODY: Final = (413, 415, 422)
_ONCE: Final = "Idempotency-Key"
_HEADERS: Final = {
    401: {"WWW-Authenticate": "How to show who asks."},
    405: {"Allow": "The methods that this address answers."},
    429: {"Retry-After": "Seconds to wait."},
    503: {"Retry-After": "Seconds to wait."},
}
_ABOUT: Final = (
    "Everything that the console and the command line show and do, by the same operations. Ask with an API token, "
    "`Authorization: Bearer TOKEN` (`muster tokens create`); its role and its groups say what it may see and do. "
    "What is refused is answered with a problem document (RFC 9457). In a path, a slash within an id is written %2F."
)


def make_document(table: Sequence[Endpoint], problem_codes: Sequence[str] = tuple(KINDS)) -> dict[str, Any]:
    """Make the document of *table*. Raises TypeError where an endpoint has a type that has no form in JSON."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for one in table:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    responses = {f"Problem{status}": _problem(status, schemas) for status in sorted({k.status for k in KINDS.values()})}
    schemas.named["ProblemDocument"]["properties"]["code"] = {"type": "string", "enum": sorted(problem_codes)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Muster",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": ROOT}],
        "security": [{"token": []}],
        "tags": [{"name": name} for name in dict.fromkeys(one.resource for one in table)],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted(schemas.named.items())),
            "responses": responses,
        },
    }


def page(table: Sequence[Endpoint]) -> str:
    """Write the document for the eyes of people, as it is kept in docs/api."""
    return json.dumps(make_document(table), indent=1, ensure_ascii=False) + "\n"


def statuses_of(one: Endpoint) -> tuple[int, ...]:
    """Return the statuses of the problems that an endpoint answers with."""
    more = _WITH_BODY if one.body is not None else ()
    return tuple(sorted({*_ALWAYS, *more, *((422,) if one.is_once else ()), *one.refuses}))


def _operation(one: Endpoint, schemas: Schemas) -> dict[str, Any]:
    summary, _, rest = one.says.partition("\n")
    least = LEAST_ROLE[one.needs].value
    operation: dict[str, Any] = {
        "operationId": one.name,
        "tags": [one.resource],
        "summary": summary.strip().removesuffix("."),
        "description": f"{rest.strip()}\n\nTakes the role {least} or more (`{one.needs.value}`).".strip(),
        "parameters": [*_path_parameters(one), *_query_parameters(one, schemas), *_headers(one)],
        "responses": {
            str(one.status): _success(one, schemas),
            **({"304": {"description": "It is as it was (If-None-Match)."}} if _is_tagged(one) else {}),
            **{str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in statuses_of(one)},
        },
    }
    if one.body is not None:
        content = {"application/json": {"schema": schemas.of(one.body, is_read=True)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _is_tagged(one: Endpoint) -> bool:
    return one.method == "GET" and one.gives is not Stream


def _path_parameters(one: Endpoint) -> list[dict[str, Any]]:
    schema = {"type": "string", "minLength": 1, "maxLength": MAXIMUM_PART, "pattern": PLAIN_PATTERN}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in one.parameters]


def _query_parameters(one: Endpoint, schemas: Schemas) -> list[dict[str, Any]]:
    if one.takes is None:
        return []
    hints, parameters = get_type_hints(one.takes, include_extras=True), []
    for known in fields(one.takes):
        schema = schemas.of(hints[known.name], is_read=True)
        if "anyOf" in schema:  # None is a parameter that is absent
            [first] = [each for each in schema["anyOf"] if each != {"type": "null"}]
            schema = {**first, **{name: said for name, said in schema.items() if name == "description"}}
        parameter: dict[str, Any] = {"name": known.name, "in": "query"}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        if known.default is MISSING and known.default_factory is MISSING:
            parameter["required"] = True
        elif known.default not in (MISSING, None, ""):
            schema = {**schema, "default": plain(known.default)}
        parameters.append({**parameter, "schema": schema})
    return parameters


def _headers(one: Endpoint) -> list[dict[str, Any]]:
    found = []
    if one.is_once:
        schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        said = (
            "A text of your own for this request, such as a UUID. For a day the same request under the same key is "
            "answered as it was the first time and does nothing; another request under it is refused."
        )
        found.append({"name": _ONCE, "in": "header", "description": said, "schema": schema})
    if _is_tagged(one):
        said = "The ETag of an answer that is at hand: 304 when it is still the same."
        found.append({"name": "If-None-Match", "in": "header", "description": said, "schema": {"type": "string"}})
    return found


def _success(one: Endpoint, schemas: Schemas) -> dict[str, Any]:
    if one.gives is type(None):
        return {"description": "It is done."}
    headers = {"ETag": {"schema": {"type": "string"}}} if _is_tagged(one) else {}
    text = {"type": "string"}
    schema = text if one.gives is Stream else schemas.of(one.gives)
    answer: dict[str, Any] = {"description": "What was asked for."}
    if headers:
        answer["headers"] = headers
    return {**answer, "content": {media: {"schema": schema} for media in one.media_types}}


def _problem(status: int, schemas: Schemas) -> dict[str, Any]:
    titles = sorted({kind.title for kind in KINDS.values() if kind.status == status})
    answer: dict[str, Any] = {
        "description": titles[0] if len(titles) == 1 else "One of: " + "; ".join(titles) + ".",
        "content": {MEDIA_TYPE: {"schema": schemas.of(ProblemDocument)}},
    }
    headers = _HEADERS.get(status)
    if headers:
        answer["headers"] = {
            name: {"description": said, "schema": {"type": "string"}} for name, said in headers.items()
        }
    return answer
