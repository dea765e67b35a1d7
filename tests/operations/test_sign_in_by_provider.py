"""What an identity provider says of somebody decides who they are and what they may, on either engine."""

from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa
from tests.support.site import Site

from muster.domain.access import Actor, ActorKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.roles import Role
from muster.operations.end_sessions import EndOrder, end_own_sessions, end_sessions
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.operations.set_roles import AccessOrder, RoleOrder, set_access, set_roles
from muster.operations.sign_in import LinkUse, Session, Visit, create_sign_in_links, find_session, sign_in
from muster.operations.sign_in_by_provider import (
    LIFETIME,
    MAXIMUM_SUBJECT,
    Departure,
    Identified,
    leave_for_provider,
    return_from_provider,
    sign_in_by_provider,
)
from muster.operations.views.people import list_administrators, sessions_of
from muster.storage import schema

ADMIN = Actor(ActorKind.ADMINISTRATOR, "owner", Role.OWNER)
ADA = Identified("https://id.example", "4711", "ada", Role.OPERATOR, Visit("192.0.2.1", "Browser/1"))


def come_in(site: Site, who: Identified = ADA) -> Session:
    [session] = site.do(sign_in_by_provider, who)
    assert isinstance(session, Session)
    return session


def is_open(site: Site, session: Session) -> bool:
    policy = site.runner.policy
    return site.engine.read(lambda tx: find_session(tx, session.token, site.now, policy)) is not None


def owner(site: Site) -> Session:
    [link] = site.do(create_sign_in_links, "owner")
    [session] = site.do(sign_in, LinkUse(link.token))
    assert isinstance(session, Session)
    return session


def test_who_is_new_is_added_with_the_role_and_written_down(site: Site) -> None:
    owner(site)
    session = come_in(site)

    assert (session.administrator.name, session.administrator.role) == ("ada", Role.OPERATOR)
    table = schema.audit.c
    acts = site.rows(sa.select(table.act, table.subject, table.source).order_by(table.sequence.desc()).limit(2))
    assert acts == [("administrator.sign_in", "ada", "192.0.2.1"), ("administrator.add", "ada", "192.0.2.1")]


def test_who_is_known_stays_who_they_are(site: Site) -> None:
    first = come_in(site)
    again = come_in(site, replace(ADA, name="ada lovelace", role=Role.SECURITY))

    assert again.administrator.id == first.administrator.id
    assert [(row.name, row.role, row.ways) for row in site.engine.read(list_administrators)] == [
        ("ada", "security", ("identity provider",))
    ]


def test_scope_that_was_set_here_stays_but_for_an_owner(site: Site) -> None:
    owner(site)
    come_in(site)
    site.do(create_groups, GroupOrder("lab"))
    site.do(set_roles, RoleOrder("ada", groups=("lab",)), actor=ADMIN)

    limited = come_in(site, replace(ADA, role=Role.HELPDESK))
    whole = come_in(site, replace(ADA, role=Role.OWNER))

    assert limited.administrator.groups is not None
    assert whole.administrator.groups is None


def test_who_has_no_role_any_more_is_out(site: Site) -> None:
    session = come_in(site)

    [refused] = site.do(sign_in_by_provider, replace(ADA, role=None))

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.ROLE_MISSING
    assert not is_open(site, session)


def test_the_same_subject_of_another_provider_is_somebody_else(site: Site) -> None:
    first = come_in(site)
    other = come_in(site, replace(ADA, issuer="https://other.example"))

    assert other.administrator.id != first.administrator.id


def test_subjects_that_begin_alike_are_not_one_person(site: Site) -> None:
    first = come_in(site, replace(ADA, subject="x" * MAXIMUM_SUBJECT))

    for subject in ("x" * MAXIMUM_SUBJECT + "y", "4711\0"):
        [refused] = site.do(sign_in_by_provider, replace(ADA, subject=subject))
        assert isinstance(refused, Refusal)
    assert is_open(site, first)


def test_who_is_shut_out_here_does_not_come_in_by_the_provider(site: Site) -> None:
    owner(site)
    session = come_in(site)
    site.do(set_access, AccessOrder("ada", is_disabled=True), actor=ADMIN)

    [refused] = site.do(sign_in_by_provider, ADA)

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.SIGN_IN_WRONG
    assert not is_open(site, session)


def test_names_that_others_have_or_nobody_can_read_are_told_apart(site: Site) -> None:
    owner(site)
    named = [
        come_in(site, replace(ADA, subject=str(number), name=name)).administrator.name
        for number, name in enumerate(("owner", "a\x00\nb", "", "x" * 200, "x" * 200))
    ]

    assert named[0].startswith("owner (")
    assert named[1] == "ab"
    assert named[2] == "somebody"
    assert len({*named}) == 5
    assert max(map(len, named)) <= 64


def test_what_was_kept_for_the_way_back_is_good_once_and_for_minutes(site: Site) -> None:
    [one, late] = site.do(leave_for_provider, "192.0.2.1", "192.0.2.1")
    assert isinstance(one, Departure)
    assert isinstance(late, Departure)

    first, second = site.do(return_from_provider, one.state, one.state)
    site.runner.time += LIFETIME + timedelta(seconds=1)

    assert first is not None
    assert first.nonce == one.nonce
    assert second is None
    assert site.do(return_from_provider, late.state, "never given", "") == [None, None, None]


def test_nothing_of_the_way_there_is_stored_in_the_clear(site: Site) -> None:
    [departure] = site.do(leave_for_provider, "192.0.2.1")
    assert isinstance(departure, Departure)
    stored = str([site.rows(sa.select(table)) for table in schema.metadata.sorted_tables])
    [kept] = site.do(return_from_provider, departure.state)

    assert kept is not None
    for secret in (departure.state, departure.nonce, kept.verifier):
        assert secret not in stored
        assert secret not in repr((departure, kept))


def test_sessions_are_ended_by_whose_they_are_and_by_owners(site: Site) -> None:
    mine, other, theirs = come_in(site), come_in(site), owner(site)
    row, _ = site.engine.read(lambda tx: sessions_of(tx, "ada", site.now))

    assert site.do(end_own_sessions, EndOrder(theirs.administrator.id, row.id)) == [False]
    assert site.do(end_own_sessions, EndOrder(mine.administrator.id, row.id)) == [True]
    assert site.do(end_own_sessions, EndOrder(mine.administrator.id, "a\x00b")) == [False]
    assert [is_open(site, mine), is_open(site, other)].count(True) == 1
    site.do(end_sessions, "ada")

    assert (is_open(site, mine), is_open(site, other), is_open(site, theirs)) == (False, False, True)
