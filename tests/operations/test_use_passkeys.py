"""A passkey signs in whose it is, on this site, once for each question, with the person verified."""

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.authenticator import PRESENT, Authenticator, text
from tests.support.site import Site as Installation

from muster.crypto.passkeys import MAXIMUM_ANSWER_CHARACTERS, BadPasskey, Site, credential_named, read_registration
from muster.domain.access import Actor, ActorKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.sign_in_limits import TRIES_PER_ADDRESS
from muster.operations.set_roles import AccessOrder, set_access
from muster.operations.sign_in import LinkUse, Session, Visit, create_sign_in_links, sign_in
from muster.operations.use_passkeys import (
    MAXIMUM_PASSKEYS,
    AddingBegun,
    PasskeyMade,
    PasskeyRemoval,
    PasskeyShown,
    Question,
    SigningInBegun,
    add_passkeys,
    begin_adding,
    begin_signing_in,
    remove_passkeys,
    sign_in_by_passkey,
)
from muster.operations.views.people import list_administrators
from muster.storage import schema

HERE = Site("mdm.example", "https://mdm.example")
SOURCE = "192.0.2.1"


def come_in(site: Installation, name: str = "ana") -> str:
    [link] = site.do(create_sign_in_links, name)
    [session] = site.do(sign_in, LinkUse(link.token))
    assert isinstance(session, Session)
    return session.administrator.id


def asked(outcome: Question | Refusal) -> Question:
    assert isinstance(outcome, Question)
    return outcome


def add(site: Installation, administrator_id: str, key: Authenticator, origin: str = HERE.origin) -> Refusal | None:
    question = asked(site.do(begin_adding, AddingBegun(administrator_id, "ana", HERE))[0])
    made = PasskeyMade(administrator_id, "desk", question.state, key.make(question.options, origin), HERE)
    actor = Actor(ActorKind.ADMINISTRATOR, "ana")
    return site.do(add_passkeys, made, actor=actor)[0]


def question(site: Installation) -> Question:
    return asked(site.do(begin_signing_in, SigningInBegun(SOURCE, HERE))[0])


def show(site: Installation, asked: Question, answer: str) -> Session | Refusal:
    return site.do(sign_in_by_passkey, PasskeyShown(asked.state, answer, Visit(SOURCE), HERE))[0]


@pytest.fixture
def key(site: Installation) -> Authenticator:
    """Ana's passkey, which is known."""
    made = Authenticator()
    assert add(site, come_in(site), made) is None
    return made


def test_passkey_signs_in_whose_it_is(site: Installation, key: Authenticator) -> None:
    for _ in range(2):
        now = question(site)
        session = show(site, now, key.show(now.options, HERE.origin))

        assert isinstance(session, Session)
        assert session.administrator.name == "ana"
    assert [row.ways for row in site.engine.read(list_administrators)] == [("passkey",)]


def test_answer_is_good_once(site: Installation, key: Authenticator) -> None:
    now = question(site)
    answer = key.show(now.options, HERE.origin)
    show(site, now, answer)

    assert isinstance(show(site, now, answer), Refusal)
    assert isinstance(show(site, question(site), answer), Refusal)


def test_answer_of_a_key_that_counts_nothing_is_good_once(site: Installation, key: Authenticator) -> None:
    key.count = -1  # as those that are kept by several devices: they say 0 each time
    now = question(site)
    answer = key.show(now.options, HERE.origin)

    assert isinstance(show(site, now, answer), Session)
    assert isinstance(show(site, now, answer), Refusal)
    assert isinstance(show(site, question(site), answer), Refusal)


def test_question_is_over_after_minutes(site: Installation, key: Authenticator) -> None:
    now = question(site)
    site.wait(minutes=5)

    assert isinstance(show(site, now, key.show(now.options, HERE.origin)), Refusal)


@pytest.mark.parametrize("origin", ["https://mdm.example.evil", "http://mdm.example", "https://evil.example", "null"])
def test_passkey_is_good_on_this_site_alone(site: Installation, key: Authenticator, origin: str) -> None:
    now = question(site)

    assert isinstance(show(site, now, key.show(now.options, origin)), Refusal)
    refused = add(site, come_in(site), Authenticator(b"another"), origin)
    assert isinstance(refused, Refusal)


def test_passkey_of_another_site_is_refused(site: Installation, key: Authenticator) -> None:
    now = question(site)
    elsewhere = now.options.replace("mdm.example", "evil.example")

    assert isinstance(show(site, now, key.show(elsewhere, HERE.origin)), Refusal)


def test_person_has_to_be_verified(site: Installation, key: Authenticator) -> None:
    key.flags = PRESENT
    now = question(site)

    assert isinstance(show(site, now, key.show(now.options, HERE.origin)), Refusal)
    unverified = Authenticator(b"another")
    unverified.flags = PRESENT
    assert isinstance(add(site, come_in(site), unverified), Refusal)


def test_another_key_under_the_same_id_is_refused(site: Installation, key: Authenticator) -> None:
    now = question(site)

    assert isinstance(show(site, now, Authenticator(key.id).show(now.options, HERE.origin)), Refusal)


def test_count_that_went_back_is_a_copy(site: Installation, key: Authenticator) -> None:
    key.count = 40
    now = question(site)
    show(site, now, key.show(now.options, HERE.origin))
    key.count = 10
    again = question(site)

    assert isinstance(show(site, again, key.show(again.options, HERE.origin)), Refusal)


def test_unknown_passkey_is_refused_in_the_same_words(site: Installation, key: Authenticator) -> None:
    now, other = question(site), question(site)
    unknown = show(site, now, Authenticator(b"unknown").show(now.options, HERE.origin))
    wrong = show(site, other, key.show(now.options, HERE.origin))

    assert isinstance(unknown, Refusal)
    assert unknown == wrong


def test_passkey_that_is_known_is_not_taken_over(site: Installation, key: Authenticator) -> None:
    refused = add(site, come_in(site, "ben"), Authenticator(key.id))
    now = question(site)
    session = show(site, now, key.show(now.options, HERE.origin))

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.CONFLICT
    assert isinstance(session, Session)
    assert session.administrator.name == "ana"


def test_question_to_one_is_answered_by_nobody_else(site: Installation, key: Authenticator) -> None:
    ana, ben = come_in(site), come_in(site, "ben")
    anas = asked(site.do(begin_adding, AddingBegun(ana, "ana", HERE))[0])
    bens = PasskeyMade(ben, "desk", anas.state, Authenticator(b"bens").make(anas.options, HERE.origin), HERE)
    signing_in = question(site)
    mixed = replace(bens, state=signing_in.state)

    assert isinstance(site.do(add_passkeys, bens)[0], Refusal)
    assert isinstance(site.do(add_passkeys, mixed)[0], Refusal)


def test_passkey_is_removed_by_whose_it_is(site: Installation, key: Authenticator) -> None:
    ana, ben = come_in(site), come_in(site, "ben")

    assert site.do(remove_passkeys, PasskeyRemoval(ben, key.id)) == [False]
    assert site.do(remove_passkeys, PasskeyRemoval(ana, key.id)) == [True]
    now = question(site)
    assert isinstance(show(site, now, key.show(now.options, HERE.origin)), Refusal)


def test_who_is_shut_out_signs_in_by_no_passkey(site: Installation, key: Authenticator) -> None:
    come_in(site, "ben")
    site.engine.write(lambda tx: tx.connection.execute(sa.update(schema.administrators).values(role="owner")))
    site.do(set_access, AccessOrder("ana", is_disabled=True))
    now = question(site)

    assert isinstance(show(site, now, key.show(now.options, HERE.origin)), Refusal)


def test_questions_of_an_address_are_bounded_until_right(site: Installation, key: Authenticator) -> None:
    for _ in range(TRIES_PER_ADDRESS + 5):
        now = question(site)
        assert isinstance(show(site, now, key.show(now.options, HERE.origin)), Session)
    for _ in range(TRIES_PER_ADDRESS):
        question(site)

    [refused] = site.do(begin_signing_in, SigningInBegun(SOURCE, HERE))

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.SIGN_IN_LIMITED


def test_somebody_has_so_many_passkeys_at_most(site: Installation) -> None:
    ana = come_in(site)
    for number in range(MAXIMUM_PASSKEYS):
        assert add(site, ana, Authenticator(b"key %d" % number)) is None

    assert isinstance(site.do(begin_adding, AddingBegun(ana, "ana", HERE))[0], Refusal)


@given(st.one_of(st.text(max_size=200), st.recursive(st.none() | st.text(max_size=5), st.lists).map(str)))
@settings(max_examples=60, deadline=None)
def test_what_is_no_answer_is_refused(answer: str) -> None:
    with pytest.raises(BadPasskey):
        credential_named(answer)
    with pytest.raises(BadPasskey):
        read_registration(answer, HERE, bytes(32))


@given(st.binary(max_size=60), st.sampled_from(["attestationObject", "clientDataJSON"]))
@settings(max_examples=60, deadline=None)
def test_broken_parts_of_an_answer_are_refused(part: bytes, name: str) -> None:
    options = '{"rp":{"id":"mdm.example"},"challenge":"' + text(bytes(32)) + '"}'
    answer = json.loads(Authenticator().make(options, HERE.origin))
    answer["response"][name] = text(part)

    with pytest.raises(BadPasskey):
        read_registration(json.dumps(answer), HERE, bytes(32))


def test_answer_is_bounded() -> None:
    with pytest.raises(BadPasskey, match="more than"):
        credential_named(" " * (MAXIMUM_ANSWER_CHARACTERS + 1))
