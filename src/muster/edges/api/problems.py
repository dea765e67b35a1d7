"""What goes wrong, as problem documents (RFC 9457): a type for each code of a refusal, and for what HTTP says."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from muster.domain.errors import Refusal, RefusalCode

MEDIA_TYPE: Final = "application/problem+json"
ADDRESS: Final = "/api/v1/problems/"
"""Before the code: a problem's type is an address, and tells there what it is about."""
UNFIT: Final = 422
"""Understood, and refused for what it says: what a code has that stands nowhere else."""


@dataclass(frozen=True, slots=True)
class FaultyMember:
    """Where a request is wrong, such as `body.keys.Queries[2]` or `query.limit`, and what is."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class ProblemDocument:
    """What is answered in place of what was asked for (RFC 9457).

    *code* is stable and the last part of *type*; *remedy* says what to do, and is empty where nothing is to be said.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    remedy: str = ""
    errors: tuple[FaultyMember, ...] = ()


class Problem(Exception):
    """The request is answered with a problem. *headers* are sent beside it."""

    def __init__(
        self,
        code: str,
        detail: str,
        remedy: str = "",
        *,
        errors: tuple[FaultyMember, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        facts = KINDS[code]
        self.document = ProblemDocument(ADDRESS + code, facts.title, facts.status, detail, code, remedy, errors)
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: what all of it have in common."""

    status: int
    title: str


_OWN: Final = {
    "request_malformed": Kind(400, "The request is not understood"),
    "credentials_missing": Kind(401, "Show an API token that is good"),
    "nothing_here": Kind(404, "There is nothing at this address"),
    "method_unknown": Kind(405, "This address does not answer this method"),
    "body_too_large": Kind(413, "The body is too large"),
    "media_type_unknown": Kind(415, "The body is no JSON"),
    "too_many_requests": Kind(429, "Too many requests"),
    "fault": Kind(500, "The server made a mistake"),
    "unavailable": Kind(503, "The database can't be reached"),
}
_STATUSES: Final = {
    RefusalCode.NOT_FOUND: 404,
    RefusalCode.LINK_UNKNOWN: 404,
    RefusalCode.ROLE_MISSING: 403,
    RefusalCode.SCOPE_EXCEEDED: 403,
    RefusalCode.CONFLICT: 409,
    RefusalCode.NOT_ENROLLED: 409,
    RefusalCode.COUNT_WRONG: 409,
    RefusalCode.LEAVINGS_LIMITED: 409,
    RefusalCode.DISRUPTIONS_LIMITED: 409,
    RefusalCode.CANCEL_IMPOSSIBLE: 409,
    RefusalCode.CANNOT_RETURN: 409,
    RefusalCode.LINK_REVOKED: 409,
    RefusalCode.RENEWAL_IMPOSSIBLE: 409,
    RefusalCode.PUSH_CERTIFICATE_MISSING: 409,
}
_TITLES: Final = {
    RefusalCode.NOT_FOUND: "There is no such thing, or none that you may see",
    RefusalCode.ROLE_MISSING: "Your role may not do this",
    RefusalCode.SCOPE_EXCEEDED: "This is about more than your groups",
    RefusalCode.CONFLICT: "It contradicts what there is",
    RefusalCode.KEY_REUSED: "The Idempotency-Key was used for another request",
    RefusalCode.QUERY_UNFIT: "The query can't be read",
    RefusalCode.COUNT_WRONG: "The number that was named is not how many they are",
}
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        **{
            code.value: Kind(_STATUSES.get(code, UNFIT), _TITLES.get(code, f"Refused: {code.value.replace('_', ' ')}"))
            for code in RefusalCode
        },
        **_OWN,
    }
)
"""By code. A refusal's `body_too_large` is the same as ours."""


def of_refusal(refusal: Refusal) -> Problem:
    """Return the problem that a refusal is."""
    return Problem(refusal.code.value, refusal.message, refusal.remedy)


def malformed(*errors: FaultyMember) -> Problem:
    """Return the problem of a request that is wrong at *errors*."""
    return Problem(
        "request_malformed",
        "; ".join(f"{one.path}: {one.message}" for one in errors),
        "The OpenAPI document at /api/v1/openapi.json says what is taken.",
        errors=errors,
    )
