"""Declarative management: a contact, evidence, and the device's own view of its enrollment."""

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.site import ADA, MAC, Site, id_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.control.dossier import DdmRecord, Dossier
from muster.domain.errors import Refusal
from muster.operations.attend_logins import hash_of_token
from muster.operations.checkin import CheckinAnswer, CheckinOutcome
from muster.operations.judge_channels import dossier_of
from muster.protocol.checkin import DeclarativeManagement, GetToken
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import Identifiers, resolve_channel
from muster.storage import reviews, schema, user_logins
from muster.storage.declarative import MAXIMUM_REPORT_BYTES

TOKEN = b"\x01" * 32


def declare(
    site: Site,
    identity: SignerIdentity,
    endpoint: str = "status",
    data: bytes | None = b'{"StatusItems": {}, "Errors": []}',
    identifiers: Identifiers = MAC,
    auth_token: str | None = None,
) -> CheckinOutcome:
    channel = resolve_channel(identifiers)
    return site.check_in(DeclarativeManagement(identifiers, channel, endpoint, data, auth_token), identity)


def status(**mdm: Any) -> bytes:
    items = {"mdm": {name.replace("_", "-"): value for name, value in mdm.items()}}
    return json.dumps({"StatusItems": items, "Errors": []}).encode()


def pushed(token: bytes = TOKEN, magic: str = "magic") -> bytes:
    return status(push_token=base64.b64encode(token).decode(), push_magic=magic)


def dossier(site: Site, identifiers: Identifiers = MAC) -> Dossier:
    context = site.runner.context()
    found = site.engine.read(lambda tx: dossier_of(tx, id_of(identifiers), context))
    assert found is not None
    return found


def of_ddm(site: Site, identifiers: Identifiers = MAC) -> list[tuple[str, int]]:
    return [(word, count) for signal, word, count in site.evidence(identifiers) if signal == "S10"]


def test_status_is_a_contact_and_counted_evidence(site: Site) -> None:
    identity = site.enroll()
    site.wait(hours=1)

    declare(site, identity)
    declare(site, identity)

    assert of_ddm(site) == [("status", 2)]
    assert dossier(site).last_contact_at == site.now
    ddm = dossier(site).ddm
    assert ddm is not None
    assert ddm.status_at == site.now
    assert ddm.reports is not None
    assert (ddm.reports.count, ddm.reports.last_at) == (2, site.now)


def test_contact_by_anything_else_is_told_apart(site: Site) -> None:
    identity = site.enroll()
    site.wait(hours=1)
    site.connect(identity)
    connected_at = site.now
    for _ in range(3):
        site.wait(hours=1)
        declare(site, identity, "tokens", None)
        declare(site, identity)

    assert dossier(site).last_contact_at == site.now
    assert dossier(site).last_connect_at == connected_at

    site.wait(hours=1)
    site.connect(identity)

    assert dossier(site).last_connect_at == site.now


def test_without_declarative_management_every_contact_counts(site: Site) -> None:
    site.enroll()

    assert dossier(site).ddm is None
    assert dossier(site).last_connect_at == site.now


@pytest.mark.parametrize(
    ("data", "observed", "differs"),
    [
        (pushed(), "status", (False, False)),
        (pushed(magic="another"), "push_magic_differs", (True, False)),
        (pushed(token=b"\x02" * 32), "push_token_differs", (False, True)),
    ],
)
def test_reported_push_token_and_magic_are_held_against_ours(
    site: Site, data: bytes, observed: str, differs: tuple[bool, bool]
) -> None:
    identity = site.enroll()

    declare(site, identity, data=data)

    assert of_ddm(site) == [(observed, 1)]
    ddm = dossier(site).ddm
    assert ddm is not None
    assert (ddm.push_magic_differs, ddm.push_token_differs) == differs


def test_what_was_told_before_a_token_update_differs_no_more(site: Site) -> None:
    identity = site.enroll()
    declare(site, identity, data=pushed(magic="new"))
    site.wait(seconds=1)

    site.check_in(token_update(push_magic="newer"), identity)

    ddm = dossier(site).ddm
    assert ddm is not None
    assert not ddm.push_magic_differs


def test_report_that_tells_less_changes_nothing_else(site: Site) -> None:
    identity = site.enroll()
    declare(site, identity, data=status(enrollment_type="supervised", push_magic="magic"))
    declare(site, identity)

    table = schema.ddm_status
    assert site.rows(sa.select(table.c.enrollment_type, table.c.push_magic)) == [("supervised", "magic")]

    declare(site, identity, data=b'{"StatusItems": {}, "Errors": [], "FullReport": true}')

    assert site.rows(sa.select(table.c.enrollment_type, table.c.push_magic)) == [(None, None)]


def test_large_report_is_read_and_not_kept(site: Site) -> None:
    identity = site.enroll()
    large = status(enrollment_type="device", padding="x" * MAXIMUM_REPORT_BYTES)

    declare(site, identity, data=large)

    table = schema.ddm_status
    rows = site.rows(sa.select(table.c.enrollment_type, table.c.report, table.c.report_size))
    assert rows == [("device", None, len(large))]


@pytest.mark.parametrize("data", [None, b"", b"[", b'{"StatusItems": {"mdm": {"push-magic": 7}}}'])
def test_report_that_cannot_be_read_is_accepted_and_is_no_status(site: Site, data: bytes | None) -> None:
    identity = site.enroll()

    outcome = declare(site, identity, data=data)

    assert isinstance(outcome, CheckinAnswer)
    assert of_ddm(site) == [("status_malformed", 1)]
    assert dossier(site).ddm == DdmRecord(None)


def test_status_is_awaited_from_the_acknowledgement_on(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, CommandRequest("DeclarativeManagement"))
    asked_at = site.now
    site.wait(hours=30)
    site.answers(identity, CommandRequest("DeclarativeManagement"))

    assert dossier(site).ddm == DdmRecord(None, asked_at)

    site.engine.write(lambda tx: reviews.done(tx, {id_of(MAC): site.now + timedelta(days=1)}, at=site.now))
    declare(site, identity)

    ddm = dossier(site).ddm
    assert ddm is not None
    assert (ddm.status_at, ddm.asked_at) == (site.now, None)
    assert site.engine.read(reviews.next_due) == site.now


def test_what_was_told_in_an_earlier_life_counts_no_more(site: Site) -> None:
    identity = site.enroll()
    declare(site, identity)
    site.wait(days=1)

    site.enroll()

    assert dossier(site).ddm is None


# --- users ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def identity(site: Site) -> SignerIdentity:
    """A Mac whose network user ada has signed in, and carries a token."""
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    token_hash = hash_of_token("given")
    assert token_hash is not None
    site.engine.write(lambda tx: user_logins.challenge(tx, id_of(ADA), b"c" * 32, site.now))
    site.engine.write(lambda tx: user_logins.give_token(tx, id_of(ADA), token_hash))
    return identity


@pytest.mark.parametrize(
    ("shown", "observed"), [("given", None), (None, "auth_token_missing"), ("another", "auth_token_wrong")]
)
def test_status_of_a_user_counts_with_the_token_of_his_login(
    site: Site, identity: SignerIdentity, shown: str | None, observed: str | None
) -> None:
    outcome = declare(site, identity, identifiers=ADA, auth_token=shown)

    assert isinstance(outcome, CheckinAnswer)
    assert of_ddm(site, ADA) == ([("status", 1)] if observed is None else [])
    ddm = dossier(site, ADA).ddm
    assert ddm is not None
    assert ddm.status_at == (site.now if observed is None else None)
    assert observed is None or ("S17", observed, 1) in site.evidence(ADA)


def test_question_for_a_token_of_a_user_without_the_token_of_his_login_says_so(
    site: Site, identity: SignerIdentity
) -> None:
    asked = GetToken(ADA, resolve_channel(ADA), "com.apple.maid")

    assert isinstance(site.check_in(asked, identity), Refusal)
    assert isinstance(site.check_in(replace(asked, auth_token="given"), identity), Refusal)

    words = [word for signal, word, _ in site.evidence(ADA) if signal == "S17"]
    assert words == ["auth_token_missing", "token_service_unknown"]


def test_user_whose_channel_is_not_stored_does_not_speak_for_the_device(site: Site) -> None:
    identity = site.enroll()

    declare(site, identity, identifiers=ADA)

    assert of_ddm(site) == []
    assert dossier(site).ddm is None
