"""A sign-in link is good once; a session is what its token says, and ends."""

import sqlalchemy as sa
from tests.support.site import Site

from muster.domain.access import Actor, ActorKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.roles import Role
from muster.operations.issue_certificate import hash_secret
from muster.operations.set_roles import AccessOrder, set_access
from muster.operations.sign_in import (
    LinkUse,
    Session,
    SignInLink,
    SignInOutcome,
    create_sign_in_links,
    find_session,
    sign_in,
    sign_out,
)
from muster.storage import passkeys, people, schema

OWNER = Actor(ActorKind.ADMINISTRATOR, "owner", Role.OWNER)


def link(site: Site, name: str = "ana") -> SignInLink:
    return site.do(create_sign_in_links, name)[0]


def session(outcome: SignInOutcome) -> Session:
    assert isinstance(outcome, Session)
    return outcome


def whose(site: Site, token: str) -> str | None:
    found = site.engine.read(lambda tx: find_session(tx, token, site.now, site.runner.policy))
    return None if found is None else found.stored.administrator.name


def test_link_opens_a_session_for_its_administrator(site: Site) -> None:
    opened = session(site.do(sign_in, LinkUse(link(site).token))[0])

    assert whose(site, opened.token) == "ana"


def test_whoever_came_by_a_link_may_return_once_they_have_a_whole_way_of_their_own(site: Site) -> None:
    opened = session(site.do(sign_in, LinkUse(link(site).token))[0])
    mine = opened.administrator.id
    key = passkeys.StoredPasskey(b"credential", mine, "Telephone", b"key", 0)
    values = sa.update(schema.administrators).values

    def may_return() -> bool:
        found = site.engine.read(lambda tx: find_session(tx, opened.token, site.now, site.runner.policy))
        assert found is not None
        return found.stored.may_return

    at_first = may_return()
    site.engine.write(lambda tx: tx.connection.execute(values(password_hash="hash")))
    by_half_a_way = may_return()
    site.engine.write(lambda tx: tx.connection.execute(values(totp_sealed=b"sealed")))
    by_password = may_return()
    site.engine.write(lambda tx: tx.connection.execute(values(password_hash=None, external_id="ana@example.com")))
    by_provider = may_return()
    site.engine.write(lambda tx: tx.connection.execute(values(external_id=None)))
    site.engine.write(lambda tx: passkeys.add(tx, key, site.now))

    assert (at_first, by_half_a_way, by_password, by_provider, may_return()) == (False, False, True, True, True)


def test_link_is_good_once(site: Site) -> None:
    token = link(site).token
    site.do(sign_in, LinkUse(token))

    refused = site.do(sign_in, LinkUse(token))[0]

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.SIGN_IN_UNKNOWN


def test_link_of_somebody_who_is_shut_out_opens_nothing(site: Site) -> None:
    link(site, "owner")
    link(site, "ben")
    site.do(set_access, AccessOrder("ben", is_disabled=True), actor=OWNER)

    refused = site.do(sign_in, LinkUse(link(site, "ben").token))[0]

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.SIGN_IN_UNKNOWN


def test_session_of_somebody_who_is_shut_out_is_nobodys_whatever_is_left_of_it(site: Site) -> None:
    opened = session(site.do(sign_in, LinkUse(link(site).token))[0])

    site.engine.write(lambda tx: people.set_disabled(tx, opened.administrator.id, site.now))

    assert whose(site, opened.token) is None


def test_link_and_session_expire(site: Site) -> None:
    early, late = link(site), link(site)
    opened = session(site.do(sign_in, LinkUse(early.token))[0])

    site.wait(hours=12)
    assert whose(site, opened.token) is None
    site.wait(hours=12)

    assert isinstance(site.do(sign_in, LinkUse(late.token))[0], Refusal)


def test_administrator_is_added_once_however_many_links_there_are(site: Site) -> None:
    first, second, other = link(site), link(site), link(site, "ben")

    assert first.administrator == second.administrator
    assert other.administrator != first.administrator
    assert site.rows(sa.select(sa.func.count()).select_from(schema.administrators)) == [(2,)]


def test_session_that_ended_is_nobodys(site: Site) -> None:
    opened = session(site.do(sign_in, LinkUse(link(site).token))[0])

    site.do(sign_out, opened.token)

    assert whose(site, opened.token) is None


def test_no_secret_is_stored_or_audited(site: Site) -> None:
    token = link(site).token
    opened = session(site.do(sign_in, LinkUse(token))[0])

    everything = str([site.rows(sa.select(table)) for table in schema.metadata.sorted_tables])
    assert token not in everything
    assert opened.token not in everything
    assert str(hash_secret(opened.token)) in everything


def test_coming_in_is_audited(site: Site) -> None:
    site.do(sign_in, LinkUse(link(site).token))

    acts = site.rows(sa.select(schema.audit.c.act).order_by(schema.audit.c.sequence))
    assert [act for (act,) in acts] == ["administrator.add", "administrator.sign_in_link", "administrator.sign_in"]
