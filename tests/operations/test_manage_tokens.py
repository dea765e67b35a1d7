"""A token is what its role, scope and time say, and nobody ever reads it again."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import Site

from muster.domain.access import ActorKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.principals import Principal
from muster.domain.roles import Role
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.operations.manage_tokens import (
    LONGEST_LIFETIME,
    NewToken,
    TokenOrder,
    TokenUse,
    create_tokens,
    find_token,
    note_token_uses,
    revoke_tokens,
)
from muster.operations.views.people import list_tokens
from muster.storage import schema

MONTH = timedelta(days=30)


def made(site: Site, name: str = "backup", role: Role = Role.VIEWER, *groups: str) -> NewToken:
    [outcome] = site.do(create_tokens, TokenOrder(name, role, MONTH, groups))
    assert isinstance(outcome, NewToken)
    return outcome


def who(site: Site, secret: str) -> Principal | None:
    found = site.engine.read(lambda tx: find_token(tx, secret, site.now))
    return None if found is None else found.principal("192.0.2.1")


def test_token_is_who_it_says_until_it_expires(site: Site) -> None:
    token = made(site, role=Role.OPERATOR)

    principal = who(site, token.secret)
    assert principal is not None
    assert (principal.actor.kind, principal.actor.name, principal.role) == (ActorKind.TOKEN, "backup", Role.OPERATOR)
    assert (principal.groups, principal.actor.source) == (None, "192.0.2.1")
    for _ in range(2):
        site.wait(days=30)
        assert who(site, token.secret) is None


def test_token_is_limited_to_its_groups(site: Site) -> None:
    [group] = site.do(create_groups, GroupOrder("lab"))
    assert not isinstance(group, Refusal)

    principal = who(site, made(site, "lab bot", Role.HELPDESK, "Lab").secret)

    assert principal is not None
    assert principal.groups == frozenset({group.id})


def test_revoked_token_is_nobodys(site: Site) -> None:
    token = made(site)

    site.do(revoke_tokens, "backup")

    assert who(site, token.secret) is None
    assert isinstance(site.do(revoke_tokens, "backup")[0], Refusal)


@pytest.mark.parametrize("secret", ["", "muster_", "muster_" + "x" * 1000, "A" * 32, "muster_\x00"])
def test_what_is_no_token_is_nobodys(site: Site, secret: str) -> None:
    assert who(site, secret) is None


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (TokenOrder("", Role.VIEWER, MONTH), RefusalCode.ORDER_UNFIT),
        (TokenOrder("a\nb", Role.VIEWER, MONTH), RefusalCode.ORDER_UNFIT),
        (TokenOrder("x" * 65, Role.VIEWER, MONTH), RefusalCode.ORDER_UNFIT),
        (TokenOrder("late", Role.VIEWER, timedelta(0)), RefusalCode.ORDER_UNFIT),
        (TokenOrder("old", Role.VIEWER, LONGEST_LIFETIME + timedelta(days=1)), RefusalCode.ORDER_UNFIT),
        (TokenOrder("backup", Role.VIEWER, MONTH), RefusalCode.CONFLICT),
        (TokenOrder("lost", Role.VIEWER, MONTH, ("nowhere",)), RefusalCode.NOT_FOUND),
        (TokenOrder("king", Role.OWNER, MONTH, ("lab",)), RefusalCode.CONFLICT),
    ],
)
def test_unfit_token_is_refused(site: Site, order: TokenOrder, code: RefusalCode) -> None:
    made(site)
    site.do(create_groups, GroupOrder("lab"))

    [refused] = site.do(create_tokens, order)

    assert isinstance(refused, Refusal)
    assert refused.code is code


def test_secret_is_stored_nowhere_and_the_act_is_audited(site: Site) -> None:
    token = made(site)

    stored = str([site.rows(sa.select(table)) for table in schema.metadata.sorted_tables])
    assert token.secret not in stored
    assert token.secret not in repr(token)
    assert site.rows(sa.select(schema.audit.c.act, schema.audit.c.subject)) == [("token.create", "backup")]


def test_use_is_noted_and_due_again_after_a_minute(site: Site) -> None:
    token = made(site)
    first = site.engine.read(lambda tx: find_token(tx, token.secret, site.now))
    site.do(note_token_uses, TokenUse(token.token.id, "192.0.2.9"))
    second = site.engine.read(lambda tx: find_token(tx, token.secret, site.now))

    [row] = site.engine.read(list_tokens)
    assert first is not None
    assert second is not None
    assert (first.is_use_due, second.is_use_due) == (True, False)
    assert (row.last_used_at, row.last_source) == (site.now, "192.0.2.9")
