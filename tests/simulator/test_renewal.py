"""A simulated device renews its identity in each way that real ones might, and fails in each way."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.simulator.fake_server import ORIGIN, authority
from tests.simulator.play import Play, play
from tests.support.profiles import scep_of

from muster.crypto.certificates import inspect_certificate
from muster.protocol.checkin import TokenUpdate
from muster.protocol.connect import Report, Status
from muster.simulator.behaviour import Habits, RenewalReport, Step
from muster.simulator.enrollment import Backup
from muster.simulator.facts import Platform
from muster.simulator.session import Session, SessionEnd

OLD, NEW = "old", "new"


def renewed(
    scene: Callable[[Play, Session, Backup], Awaitable[None]],
    prepare: Callable[[Play], None] = lambda _play: None,
    platform: Platform = Platform.IPHONE,
) -> None:
    """Enroll, *prepare*, send the enrollment profile again, and play *scene* after the session."""

    async def whole(p: Play) -> None:
        await p.enroll()
        before = p.device.back_up()
        prepare(p)
        p.server.queue(p.line.channel.id, "InstallProfile", Payload=p.server.mobileconfig(payload_uuid="P2"))
        await scene(p, await p.device.connect(), before)

    play(whole, platform)


def said(p: Play, before: Backup) -> list[tuple[str, str]]:
    """Every message since the enrollment, with the identity that signed it."""
    first = before.identity.certificate_der
    names = []
    for request in p.server.requests:
        if request["path"] == "/checkin":
            names.append(request["body"].partition(b"MessageType</key>")[2].partition(b"<string>")[2])
        elif request["path"] == "/mdm":
            names.append(request["body"].partition(b"Status</key>")[2].partition(b"<string>")[2])
    signers = [OLD if s is not None and s.signer_certificate_der == first else NEW for s in p.server.signatures]
    texts = [name.partition(b"<")[0].decode() for name in names]
    return list(zip(texts, signers, strict=True))[2:]


def the_answer(p: Play) -> Report:
    """The final report on the renewal."""
    return next(report for report in p.server.reports if report.head.command_uuid is not None)


@pytest.mark.parametrize(
    ("report", "order"),
    [
        (RenewalReport.LATE, [("Authenticate", NEW), ("TokenUpdate", NEW), ("Acknowledged", NEW)]),
        (RenewalReport.LATE_BY_OLD, [("Authenticate", NEW), ("TokenUpdate", NEW), ("Acknowledged", OLD)]),
        (RenewalReport.EARLY, [("Authenticate", NEW), ("Acknowledged", NEW), ("TokenUpdate", NEW)]),
        (RenewalReport.EARLY_BY_OLD, [("Authenticate", NEW), ("Acknowledged", OLD), ("TokenUpdate", NEW)]),
    ],
)
def test_a_renewal_is_reported_in_the_order_and_by_the_identity_chosen(
    report: RenewalReport, order: list[tuple[str, str]]
) -> None:
    async def scene(p: Play, session: Session, before: Backup) -> None:
        assert said(p, before) == [("Idle", OLD), *order]
        assert session.end is SessionEnd.EMPTY
        assert p.device.back_up().identity != before.identity
        assert p.line.push_magic != before.push_magic

    def prepare(p: Play) -> None:
        p.device.behaviour.renewal_report = report

    renewed(scene, prepare)


@pytest.mark.parametrize("keeps_push_magic", [True, False])
def test_a_renewal_may_come_without_authenticate(*, keeps_push_magic: bool) -> None:
    async def scene(p: Play, _session: Session, before: Backup) -> None:
        assert said(p, before) == [("Idle", OLD), ("TokenUpdate", NEW), ("Acknowledged", NEW)]
        assert (p.line.push_magic == before.push_magic) is keeps_push_magic

    def prepare(p: Play) -> None:
        p.device.behaviour.renews_without_authenticate = True
        p.device.behaviour.keeps_push_magic = keeps_push_magic

    renewed(scene, prepare)


@pytest.mark.parametrize(
    ("step", "heard"),
    [
        (Step.SCEP, []),
        (Step.AUTHENTICATE, [("Authenticate", NEW)]),
        (Step.TOKEN_UPDATE, [("Authenticate", NEW), ("TokenUpdate", NEW)]),
    ],
)
def test_an_installation_that_fails_brings_back_what_was_before(step: Step, heard: list[tuple[str, str]]) -> None:
    async def scene(p: Play, session: Session, before: Backup) -> None:
        assert said(p, before) == [("Idle", OLD), *heard, ("Error", OLD)]
        assert [answered.status for answered in session.answered] == [Status.ERROR]
        assert p.device.back_up() == before
        assert p.server.issued == 2

    def prepare(p: Play) -> None:
        p.device.behaviour.rolls_back_after = step

    renewed(scene, prepare)


@pytest.mark.parametrize("tells", [True, False])
def test_a_rollback_after_the_token_update_is_told_by_another_or_not_at_all(*, tells: bool) -> None:
    async def scene(p: Play, _session: Session, before: Backup) -> None:
        await p.device.connect()

        told = said(p, before)[4:]
        assert told == [("TokenUpdate", OLD), ("Idle", OLD)] if tells else told == [("Idle", OLD)]
        last_update = [message for message in p.server.messages if isinstance(message, TokenUpdate)][-1]
        assert (last_update.push_magic == before.push_magic) is tells

    def prepare(p: Play) -> None:
        p.device.behaviour.rolls_back_after = Step.TOKEN_UPDATE
        p.device.behaviour.tells_of_rollback = tells

    renewed(scene, prepare)


def test_a_renewal_reported_too_early_may_still_roll_back() -> None:
    async def scene(p: Play, _session: Session, before: Backup) -> None:
        assert [what for what, _ in said(p, before)] == ["Idle", "Authenticate", "Acknowledged", "TokenUpdate"]
        assert p.device.back_up() == before
        assert p.device.last_failure is not None

    def prepare(p: Play) -> None:
        p.device.behaviour.renewal_report = RenewalReport.EARLY
        p.device.behaviour.rolls_back_after = Step.TOKEN_UPDATE

    renewed(scene, prepare)


@pytest.mark.parametrize(
    ("platform", "domains"),
    [
        (Platform.IPHONE, ["MCInstallationErrorDomain", "MCSCEPErrorDomain"]),
        (Platform.MAC, ["MDM-SCEP"]),
    ],
)
def test_a_challenge_that_scep_refuses_is_an_error_of_the_installation(platform: Platform, domains: list[str]) -> None:
    async def scene(p: Play, _session: Session, before: Backup) -> None:
        answer = the_answer(p)
        assert answer.head.status is Status.ERROR
        assert [item.error_domain for item in answer.error_chain] == domains
        assert p.device.back_up() == before

    def prepare(p: Play) -> None:
        p.server.challenge = "another"

    renewed(scene, prepare, platform)


@pytest.mark.parametrize(("replies", "step"), [([500], "Authenticate"), ([200, 401], "TokenUpdate"), ([0], "")])
def test_a_check_in_that_fails_fails_the_renewal(replies: list[int], step: str) -> None:
    async def scene(p: Play, _session: Session, before: Backup) -> None:
        assert [item.error_domain for item in the_answer(p).error_chain][1] == "MCHTTPTransactionErrorDomain"
        assert p.device.last_failure is not None
        assert p.device.last_failure.step.startswith(step)
        assert p.device.back_up() == before

    def prepare(p: Play) -> None:
        p.server.script["/checkin"].extend([(status, "", b"") for status in replies])

    renewed(scene, prepare)


def test_users_who_are_logged_in_speak_by_the_new_identity() -> None:
    async def scene(p: Play, _session: Session, _before: Backup) -> None:
        kinds = [(type(message).__name__, message.identifiers.user_id is not None) for message in p.server.messages]

        assert kinds[4:] == [("Authenticate", False), ("TokenUpdate", False), ("TokenUpdate", True)]

    async def whole(p: Play) -> None:
        await p.enroll()
        before = p.device.back_up()
        p.server.queue(p.line.channel.id, "InstallProfile", Payload=p.server.mobileconfig())
        await scene(p, await p.device.connect(), before)

    play(whole, Platform.MAC)


def test_an_expired_identity_is_still_presented() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        identity = p.device.back_up().identity.certificate_der
        await asyncio.sleep(timedelta(days=500).total_seconds())
        session = await p.device.connect()

        assert p.device.now > inspect_certificate(identity).not_after
        assert session.end is SessionEnd.EMPTY
        signature = p.server.signatures[-1]
        assert signature is not None
        assert signature.signer_certificate_der == identity

    play(scene)


def test_a_device_that_lost_the_servers_root_reaches_it_no_more() -> None:
    async def scene(p: Play) -> None:
        p.device.private_root_der = authority().certificate_der
        await p.enroll()
        p.server.queue(p.line.channel.id, "InstallProfile", Payload=p.server.mobileconfig(trust_anchors=()))
        renewing = await p.device.connect()
        later = await p.device.connect()

        assert renewing.end is later.end is SessionEnd.CONNECTION_LOST
        assert p.message_types() == ["Authenticate", "TokenUpdate"] * 2

    play(scene)


def test_a_server_whose_root_the_profile_leaves_out_is_never_reached() -> None:
    async def scene(p: Play) -> None:
        p.device.private_root_der = b"another root"
        with pytest.raises(Exception, match="SCEP: the server's TLS certificate is not trusted"):
            await p.enroll()

        assert [request["path"] for request in p.server.requests] == ["/enroll"]
        assert p.device.trusted_roots == frozenset()

    play(scene)


def test_a_failed_renewal_keeps_the_roots_that_were_trusted() -> None:
    async def scene(p: Play) -> None:
        p.device.private_root_der = authority().certificate_der
        await p.enroll()
        scep = replace(scep_of(p.server.profile()), challenge="wrong")
        payload = p.server.mobileconfig(trust_anchors=(), identity=scep)
        p.server.queue(p.line.channel.id, "InstallProfile", Payload=payload)
        session = await p.device.connect()

        assert session.end is SessionEnd.EMPTY
        assert [answered.status for answered in session.answered] == [Status.ERROR]

    play(scene)


def test_a_living_device_makes_up_for_a_rollback_by_itself() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        magic = p.line.push_magic
        life = asyncio.create_task(p.device.live(Habits()))
        p.device.behaviour.rolls_back_after = Step.TOKEN_UPDATE
        p.server.queue(p.line.channel.id, "InstallProfile", Payload=p.server.mobileconfig())
        p.push(p.line)
        await asyncio.sleep(timedelta(hours=2).total_seconds())
        life.cancel()

        last = p.server.messages[-1]
        assert isinstance(last, TokenUpdate)
        assert last.push_magic == magic
        assert f"{ORIGIN}/mdm" == p.device.back_up().profile.server_url

    play(scene)
