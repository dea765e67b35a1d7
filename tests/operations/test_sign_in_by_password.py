"""A password and a code open a session, each alone nothing; tries are bounded, and nobody is shut out for good."""

import pytest
import sqlalchemy as sa
from tests.support.site import Site

from muster.crypto.passwords import NOBODYS_PASSWORD, SALT_BYTES, hash_password
from muster.domain.access import Actor, ActorKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.one_time_passwords import password_of, step_at
from muster.domain.sign_in_limits import TRIES_PER_ADDRESS, TRIES_PER_NAME
from muster.operations.set_roles import AccessOrder, set_access
from muster.operations.set_up_sign_in import (
    PasswordOrder,
    RecoveryCodes,
    TotpConfirmation,
    TotpOffer,
    WrongFirstCode,
    confirm_totp,
    hash_of_code,
    offer_totp,
    reset_ways,
    set_own_passwords,
)
from muster.operations.sign_in import LinkUse, Session, Visit, create_sign_in_links, find_session, sign_in
from muster.operations.sign_in_by_password import (
    Attempt,
    CheckedAttempt,
    PasswordToCheck,
    admit_attempts,
    check_attempt,
    sign_in_by_password,
)
from muster.operations.views.people import list_administrators
from muster.storage import schema, sign_in_ways

PASSWORD = "correct horse battery"
HASH = hash_password(PASSWORD, bytes(SALT_BYTES))


class Ana:
    """An administrator who has set up a password and one-time passwords."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.session = come_in(site, "ana")
        self.id = self.session.administrator.id
        self.actor = Actor(ActorKind.ADMINISTRATOR, "ana", self.session.administrator.role)
        site.do(set_own_passwords, PasswordOrder(self.id, HASH, self.session.token), actor=self.actor)
        [offer] = site.do(offer_totp, self.id, actor=self.actor)
        self.offer = offer
        [codes] = site.do(confirm_totp, self.confirmation(offer), actor=self.actor)
        assert isinstance(codes, RecoveryCodes)
        self.codes = codes.codes
        site.wait(minutes=1)

    def confirmation(self, offer: TotpOffer, typed: str | None = None) -> TotpConfirmation:
        typed = typed or password_of(offer.secret, step_at(self.site.now))
        return TotpConfirmation(self.id, offer.state, typed, self.session.token)

    def code(self) -> str:
        return password_of(self.offer.secret, step_at(self.site.now))


@pytest.fixture
def ana(site: Site) -> Ana:
    return Ana(site)


def come_in(site: Site, name: str) -> Session:
    [link] = site.do(create_sign_in_links, name)
    [session] = site.do(sign_in, LinkUse(link.token))
    assert isinstance(session, Session)
    return session


def try_in(
    site: Site, name: str = "ana", password: str = PASSWORD, code: str = "", source: str = "192.0.2.1"
) -> Session | Refusal:
    [admitted] = site.do(admit_attempts, Attempt(name, password, code, Visit(source, "Browser/1")))
    if isinstance(admitted, Refusal):
        return admitted
    assert isinstance(admitted, PasswordToCheck)
    # hashing takes long, and is tested where it is done
    checked = (
        check_attempt(admitted)
        if password != PASSWORD
        else CheckedAttempt(admitted.attempt, admitted.password_hash == HASH)
    )
    [outcome] = site.do(sign_in_by_password, checked)
    return outcome


def test_password_and_code_open_a_session(ana: Ana) -> None:
    session = try_in(ana.site, code=ana.code())

    assert isinstance(session, Session)
    assert session.administrator.name == "ana"
    acts = ana.site.rows(sa.select(schema.audit.c.act, schema.audit.c.source).order_by(schema.audit.c.sequence.desc()))
    assert acts[0] == ("administrator.sign_in", "192.0.2.1")


@pytest.mark.parametrize("code", ["", "000000", "not a code", "1" * 41])
def test_password_alone_opens_nothing(ana: Ana, code: str) -> None:
    refused = try_in(ana.site, code=code)

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.SIGN_IN_WRONG


def test_code_alone_opens_nothing(ana: Ana) -> None:
    assert isinstance(try_in(ana.site, password="wrong", code=ana.code()), Refusal)


def test_what_is_wrong_is_never_told(ana: Ana) -> None:
    refusals = {
        str(try_in(ana.site, name=name, password=password, code=code))
        for name, password, code in [("ana", "wrong", ana.code()), ("ana", PASSWORD, "1"), ("nobody", PASSWORD, "1")]
    }

    assert len(refusals) == 1


def test_nobody_is_checked_against_as_long_a_hash(site: Site) -> None:
    [admitted] = site.do(admit_attempts, Attempt("nobody", "x", "1", Visit()))

    assert isinstance(admitted, PasswordToCheck)
    assert admitted.password_hash == NOBODYS_PASSWORD


def test_code_is_good_once(ana: Ana) -> None:
    code = ana.code()

    assert isinstance(try_in(ana.site, code=code), Session)
    assert isinstance(try_in(ana.site, code=code), Refusal)


def test_recovery_code_is_good_once_and_audited(ana: Ana) -> None:
    code = ana.codes[3].upper().replace("-", " ")

    assert isinstance(try_in(ana.site, code=code), Session)
    assert isinstance(try_in(ana.site, code=code), Refusal)
    used = sa.select(schema.audit.c.detail).where(schema.audit.c.act == "administrator.recovery_code")
    assert ana.site.rows(used) == [({"left": 9},)]


def test_other_sessions_end_when_one_time_passwords_are_set_up(ana: Ana) -> None:
    [link] = ana.site.do(create_sign_in_links, "ana")
    [other] = ana.site.do(sign_in, LinkUse(link.token))
    assert isinstance(other, Session)
    [offer] = ana.site.do(offer_totp, ana.id, actor=ana.actor)

    ana.site.do(confirm_totp, ana.confirmation(offer), actor=ana.actor)

    def is_open(token: str) -> bool:
        return (
            ana.site.engine.read(lambda tx: find_session(tx, token, ana.site.now, ana.site.runner.policy)) is not None
        )

    assert (is_open(ana.session.token), is_open(other.token)) == (True, False)


def test_a_code_that_another_sign_in_used_meanwhile_is_used_up(ana: Ana) -> None:
    step = step_at(ana.site.now)

    used = ana.site.engine.write(lambda tx: [sign_in_ways.use_step(tx, ana.id, one) for one in (step, step, step - 1)])

    assert used == [True, False, False]


def test_recovery_code_of_somebody_else_signs_nobody_in(ana: Ana) -> None:
    ben = come_in(ana.site, "ben").administrator
    ana.site.engine.write(lambda tx: sign_in_ways.replace_codes(tx, ben.id, [hash_of_code("of-ben")]))

    assert isinstance(try_in(ana.site, code="of-ben"), Refusal)


def test_password_without_a_second_factor_signs_nobody_in(site: Site) -> None:
    session = come_in(site, "ben")
    site.do(set_own_passwords, PasswordOrder(session.administrator.id, HASH, session.token))

    assert isinstance(try_in(site, "ben"), Refusal)


def test_tries_for_a_name_are_bounded_and_open_again(ana: Ana) -> None:
    for number in range(TRIES_PER_NAME):
        try_in(ana.site, code="1", source=f"192.0.2.{number}")

    refused = try_in(ana.site, code=ana.code())
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.SIGN_IN_LIMITED
    come_in(ana.site, "ana")  # a link opens all the same
    ana.site.wait(minutes=15)

    assert isinstance(try_in(ana.site, code=ana.code()), Session)


def test_tries_of_an_address_are_bounded(ana: Ana) -> None:
    for number in range(TRIES_PER_ADDRESS):
        try_in(ana.site, name=f"name {number}", code="1")

    refused = try_in(ana.site, code=ana.code())
    elsewhere = try_in(ana.site, code=ana.code(), source="198.51.100.1")

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.SIGN_IN_LIMITED
    assert isinstance(elsewhere, Session)
    [link] = ana.site.do(create_sign_in_links, "ana")
    [by_link] = ana.site.do(sign_in, LinkUse(link.token, Visit("192.0.2.1")))
    assert isinstance(by_link, Session), "another way in from that address stays open"


def test_an_address_that_is_refused_shuts_no_name_and_leaves_no_trace_of_more(ana: Ana) -> None:
    for number in range(TRIES_PER_ADDRESS):
        try_in(ana.site, name=f"name {number}", code="1")
    count = sa.select(sa.func.count()).select_from(schema.sign_in_attempts)
    [before] = ana.site.rows(count)

    for number in range(TRIES_PER_NAME + 1):
        try_in(ana.site, code="1")
        try_in(ana.site, name=f"another {number}", code="1")

    assert ana.site.rows(count) == [before]
    assert isinstance(try_in(ana.site, code=ana.code(), source="198.51.100.1"), Session)


def test_a_network_of_ipv6_is_one_address(ana: Ana) -> None:
    for number in range(TRIES_PER_ADDRESS):
        try_in(ana.site, name=f"name {number}", code="1", source=f"2001:db8:0:1::{number:x}")
        ana.site.do(sign_in, LinkUse(f"guess {number}", Visit(f"2001:db8:0:1::{number:x}")))
    [link] = ana.site.do(create_sign_in_links, "ana")

    refused = try_in(ana.site, code=ana.code(), source="2001:db8:0:1:ffff::1")
    [by_link] = ana.site.do(sign_in, LinkUse(link.token, Visit("2001:db8:0:1:ffff::1")))
    elsewhere = try_in(ana.site, code=ana.code(), source="2001:db8:0:2::1")

    assert [type(one) for one in (refused, by_link, elsewhere)] == [Refusal, Refusal, Session]


def test_links_that_are_guessed_at_are_bounded(site: Site) -> None:
    visit = Visit("192.0.2.1")
    for number in range(TRIES_PER_ADDRESS):
        site.do(sign_in, LinkUse(f"guess {number}", visit))
    [link] = site.do(create_sign_in_links, "ana")

    [refused] = site.do(sign_in, LinkUse(link.token, visit))

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.SIGN_IN_LIMITED


def test_right_tries_are_never_counted_against(ana: Ana) -> None:
    for _ in range(TRIES_PER_NAME + 2):
        ana.site.wait(minutes=1)

        assert isinstance(try_in(ana.site, code=ana.code()), Session)


def test_offer_is_its_administrators_good_once_and_for_a_while(ana: Ana) -> None:
    other = come_in(ana.site, "ben").administrator.id
    [of_ben] = ana.site.do(offer_totp, other)
    [late] = ana.site.do(offer_totp, ana.id)

    assert isinstance(ana.site.do(confirm_totp, ana.confirmation(of_ben))[0], Refusal)
    assert isinstance(ana.site.do(confirm_totp, ana.confirmation(ana.offer))[0], Refusal)
    ana.site.wait(minutes=15)

    assert isinstance(ana.site.do(confirm_totp, ana.confirmation(late))[0], Refusal)


def test_wrong_first_code_changes_nothing(ana: Ana) -> None:
    [offer] = ana.site.do(offer_totp, ana.id)

    assert isinstance(ana.site.do(confirm_totp, ana.confirmation(offer, "000000"))[0], WrongFirstCode)
    assert isinstance(try_in(ana.site, code=ana.code()), Session)


def test_after_a_wrong_first_code_the_same_secret_is_offered_again(ana: Ana) -> None:
    [offer] = ana.site.do(offer_totp, ana.id)
    [wrong] = ana.site.do(confirm_totp, ana.confirmation(offer, "000000"))
    assert isinstance(wrong, WrongFirstCode)
    [used_up] = ana.site.do(confirm_totp, ana.confirmation(offer))
    [right] = ana.site.do(confirm_totp, ana.confirmation(wrong.again))

    assert wrong.again.secret == offer.secret
    assert isinstance(used_up, Refusal)
    assert isinstance(right, RecoveryCodes)


def test_new_password_ends_every_other_session(ana: Ana) -> None:
    other = try_in(ana.site, code=ana.code())
    assert isinstance(other, Session)

    ana.site.do(set_own_passwords, PasswordOrder(ana.id, HASH, ana.session.token), actor=ana.actor)

    policy = ana.site.runner.policy
    assert ana.site.engine.read(lambda tx: find_session(tx, other.token, ana.site.now, policy)) is None
    assert ana.site.engine.read(lambda tx: find_session(tx, ana.session.token, ana.site.now, policy)) is not None


def test_who_is_shut_out_has_no_way_in(ana: Ana) -> None:
    [link] = ana.site.do(create_sign_in_links, "ana")
    come_in(ana.site, "ben")
    ana.site.engine.write(lambda tx: tx.connection.execute(sa.update(schema.administrators).values(role="owner")))

    ana.site.do(set_access, AccessOrder("ana", is_disabled=True), actor=ana.actor)

    policy = ana.site.runner.policy
    assert isinstance(try_in(ana.site, code=ana.code()), Refusal)
    assert isinstance(ana.site.do(sign_in, LinkUse(link.token))[0], Refusal)
    assert ana.site.engine.read(lambda tx: find_session(tx, ana.session.token, ana.site.now, policy)) is None


def test_reset_forgets_every_way(ana: Ana) -> None:
    ana.site.do(reset_ways, "ana", actor=ana.actor)

    assert isinstance(try_in(ana.site, code=ana.code()), Refusal)
    assert [row.ways for row in ana.site.engine.read(list_administrators)] == [()]


def test_nothing_of_it_is_stored_in_the_clear(ana: Ana) -> None:
    stored = str([ana.site.rows(sa.select(table)) for table in schema.metadata.sorted_tables])

    assert ana.offer.secret not in stored.encode("latin-1", "replace")
    assert str(ana.offer.secret)[2:-1] not in stored
    for secret in (PASSWORD, ana.offer.state, *ana.codes, *(one.replace("-", "") for one in ana.codes)):
        assert secret not in stored


def test_session_ends_when_it_is_idle_and_is_replaced_by_the_next_sign_in(ana: Ana) -> None:
    policy = ana.site.runner.policy

    def whose(token: str) -> object:
        return ana.site.engine.read(lambda tx: find_session(tx, token, ana.site.now, policy))

    [link] = ana.site.do(create_sign_in_links, "ana")
    [again] = ana.site.do(sign_in, LinkUse(link.token, Visit(former_token=ana.session.token)))
    assert isinstance(again, Session)
    assert (whose(ana.session.token), whose(again.token) is None) == (None, False)
    ana.site.wait(hours=2)

    assert whose(again.token) is None
