"""A simulated device enrolls as real ones do, and leaves as they do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.simulator.fake_server import ORIGIN, TOPIC, authority
from tests.simulator.play import Play, play
from tests.support.profiles import scep_of

from muster.crypto.algorithms import Digest
from muster.crypto.certificates import is_issued_by
from muster.crypto.cms.signing import SignerIdentity, sign_attached
from muster.crypto.issuance import issue_identity
from muster.crypto.pkcs12 import make_pkcs12
from muster.crypto.requests import make_request, read_request
from muster.protocol.checkin import Authenticate, CheckOut, SetBootstrapToken, TokenUpdate
from muster.protocol.connect import Status
from muster.protocol.identifiers import ChannelKind
from muster.protocol.plist import PlistValue
from muster.protocol.profile import BOOTSTRAP_TOKEN, GET_TOKEN, EnrollmentMode, Pkcs12Payload
from muster.simulator.behaviour import SignatureStyle
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.facts import Platform, User
from muster.simulator.keys.published import published_keys
from muster.simulator.session import SessionEnd


def issued_identity() -> SignerIdentity:
    """An identity that the server made, key and all."""
    key, now = published_keys()[0], datetime(2026, 1, 1, tzinfo=UTC)
    certificate = issue_identity(
        read_request(make_request(key, common_name="device"), minimum_rsa_bits=2048),
        authority(),
        subject_common_name="device",
        not_before=now,
        not_after=now + timedelta(days=365),
        serial_number=7,
    )
    return SignerIdentity(certificate, key)


def test_an_iphone_enrolls_by_authenticate_and_token_update() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()

        authenticate, token_update = p.server.messages
        assert isinstance(authenticate, Authenticate)
        assert isinstance(token_update, TokenUpdate)
        assert authenticate.serial_number == p.device.facts.serial_number
        assert authenticate.device_name is None
        assert authenticate.imei is not None
        assert token_update.topic == TOPIC
        assert token_update.token == p.line.token
        assert token_update.unlock_token is not None
        assert token_update.awaiting_configuration is False
        assert authenticate.channel.kind is token_update.channel.kind is ChannelKind.DEVICE

    play(scene)


def test_a_mac_also_hands_over_its_bootstrap_token_and_opens_its_users_channel() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()

        authenticate = p.server.messages[0]
        assert p.message_types() == ["Authenticate", "TokenUpdate", "SetBootstrapToken", "TokenUpdate"]
        assert isinstance(authenticate, Authenticate)
        assert authenticate.model_name == p.device.facts.product.model_name
        assert p.server.messages[3].channel.kind is ChannelKind.USER
        assert await p.device.get_bootstrap_token() == p.server.bootstrap_token == p.device.contents.bootstrap_token

    play(scene, Platform.MAC)


def test_an_apple_tv_sends_no_unlock_token() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()

        token_update = p.server.messages[1]
        assert isinstance(token_update, TokenUpdate)
        assert token_update.unlock_token is None

    play(scene, Platform.APPLE_TV)


def test_a_user_enrollment_names_neither_udid_nor_serial_number() -> None:
    async def scene(p: Play) -> None:
        await p.device.enroll(p.server.mobileconfig(access_rights=None))

        authenticate = p.server.messages[0]
        assert isinstance(authenticate, Authenticate)
        assert authenticate.identifiers.udid is None
        assert authenticate.identifiers.enrollment_id == p.device.facts.enrollment_id
        assert authenticate.serial_number is None
        assert authenticate.imei is None
        assert authenticate.channel.kind is ChannelKind.USER_ENROLLMENT_DEVICE

    play(scene, is_user_enrollment=True)


def test_without_the_right_to_ask_the_serial_number_stays_home() -> None:
    async def scene(p: Play) -> None:
        await p.device.enroll(p.server.mobileconfig(access_rights=3))

        authenticate, token_update = p.server.messages
        assert isinstance(authenticate, Authenticate)
        assert isinstance(token_update, TokenUpdate)
        assert authenticate.serial_number is None
        assert token_update.unlock_token is None

    play(scene)


def test_every_request_is_a_put_signed_over_its_exact_body_by_the_issued_identity() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        await p.device.connect()

        mdm = [request for request in p.server.requests if request["path"] in ("/mdm", "/checkin")]
        assert {request["method"] for request in mdm} == {"PUT"}
        assert [request["headers"]["content-type"] for request in mdm] == [
            "application/x-apple-aspen-mdm-checkin",
            "application/x-apple-aspen-mdm-checkin",
            "application/x-apple-aspen-mdm; charset=UTF-8",
        ]
        assert {request["headers"]["user-agent"] for request in mdm} == {"MDM/1.0"}
        for signature in p.server.signatures:
            assert signature is not None
            assert is_issued_by(signature.signer_certificate_der, authority().certificate_der)
            assert signature.digest is Digest.SHA256
            assert signature.signed_attributes

    play(scene)


def test_the_old_style_signs_with_sha1_and_without_attributes() -> None:
    async def scene(p: Play) -> None:
        p.server.allow_legacy = True
        p.device.behaviour.signature_style = SignatureStyle.SHA1_WITHOUT_ATTRIBUTES
        await p.enroll()

        for signature in p.server.signatures:
            assert signature is not None
            assert signature.digest is Digest.SHA1
            assert not signature.signed_attributes

    play(scene, Platform.MAC)


def test_without_sign_message_nothing_is_signed() -> None:
    async def scene(p: Play) -> None:
        await p.device.enroll(p.server.mobileconfig(sign_message=False))

        assert p.server.signatures == [None, None]

    play(scene)


def test_equal_idle_reports_have_equal_signatures() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        await p.device.connect()
        await p.device.connect()

        first, second = p.server.requests[-2:]
        assert first["body"] == second["body"]
        assert first["headers"]["mdm-signature"] == second["headers"]["mdm-signature"]

    play(scene)


def test_a_signed_profile_is_installed_and_a_broken_signature_refused() -> None:
    async def scene(p: Play) -> None:
        signer = SignerIdentity(authority().certificate_der, authority().key)
        signed = sign_attached(p.server.mobileconfig(), signer)
        broken = signed.replace(b"com.apple.mdm", b"com.apple.mdn")
        with pytest.raises(EnrollmentFailed, match="profile: signed profile"):
            await p.device.enroll(broken)
        await p.device.enroll(signed)

        assert p.device.enrollment is not None

    play(scene)


@pytest.mark.parametrize(
    ("path", "status", "step"),
    [
        ("/enroll", 404, "download"),
        ("/scep", 500, "SCEP"),
        ("/checkin", 500, "Authenticate"),
        ("/checkin", 0, "Authenticate"),
        ("/scep", 0, "SCEP"),
        ("/enroll", 0, "download"),
    ],
)
def test_a_step_that_fails_leaves_the_device_as_it_was(path: str, status: int, step: str) -> None:
    async def scene(p: Play) -> None:
        p.server.script[path].append((status, "text/plain", b""))
        with pytest.raises(EnrollmentFailed) as caught:
            await p.enroll()
        assert caught.value.step == step
        assert p.device.enrollment is None
        await p.enroll()

        assert p.device.enrollment is not None

    play(scene)


def test_a_token_update_that_fails_fails_the_enrollment_and_its_token_is_dead() -> None:
    async def scene(p: Play) -> None:
        p.server.script["/checkin"].extend([(200, "", b""), (503, "", b"")])
        with pytest.raises(EnrollmentFailed, match="TokenUpdate: answered 503"):
            await p.enroll()

        assert p.device.enrollment is None
        assert p.message_types() == []

    play(scene)


def test_a_wrong_challenge_is_refused_by_scep() -> None:
    async def scene(p: Play) -> None:
        p.server.challenge = "another"
        with pytest.raises(EnrollmentFailed, match="SCEP: refused: BAD_REQUEST"):
            await p.enroll()

    play(scene)


@pytest.mark.parametrize("length", [16, 20, 32, 64])
def test_an_authority_of_another_fingerprint_is_refused(length: int) -> None:
    async def scene(p: Play) -> None:
        scep = replace(scep_of(p.server.profile()), ca_fingerprint=bytes(length))
        with pytest.raises(EnrollmentFailed, match="CAFingerprint"):
            await p.device.enroll(p.server.mobileconfig(identity=scep))

    play(scene)


def test_redirects_are_followed_and_not_remembered() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.server.script["/mdm"].append((301, "", f"{ORIGIN}/elsewhere".encode()))
        session = await p.device.connect()
        await p.device.connect()

        assert session.end is SessionEnd.EMPTY
        assert [request["path"] for request in p.server.requests[-3:]] == ["/mdm", "/elsewhere", "/mdm"]
        assert p.statuses() == ["Idle", "Idle"]

    play(scene)


def test_a_renewal_brings_a_new_identity_and_magic_and_no_check_out() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        old_magic, old_token = p.line.push_magic, p.line.token
        uuid = p.server.queue(p.line.channel.id, "InstallProfile", Payload=p.server.mobileconfig(payload_uuid="P2"))
        session = await p.device.connect()

        assert [answered.status for answered in session.answered] == [Status.ACKNOWLEDGED]
        assert p.message_types() == ["Authenticate", "TokenUpdate"] * 2
        assert p.line.push_magic != old_magic
        assert p.line.token == old_token
        signers = [s.signer_certificate_der for s in p.server.signatures if s is not None]
        assert len(set(signers[:3])) == 1
        assert len(set(signers[3:])) == 1
        assert signers[0] != signers[-1]
        assert len(p.server.answers(uuid)) == 1

    play(scene)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"topic": "com.apple.mgmt.other"}, "topic must not change"),
        ({"server_url": f"{ORIGIN}/other"}, "server_url must not change"),
        ({"check_in_url": None}, "check_in_url must not change"),
        ({"payload_identifier": "org.example.second"}, "one MDM payload only"),
        ({"enrollment_mode": EnrollmentMode.ADDE}, "enrollment_mode must not change"),
        ({"assigned_managed_apple_id": "ana@example.org"}, "assigned_managed_apple_id must not change"),
        ({"server_capabilities": (BOOTSTRAP_TOKEN, GET_TOKEN)}, "per-user-connections must neither come nor go"),
    ],
)
def test_a_renewal_may_not_change_what_must_stay(changes: dict[str, Any], complaint: str) -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        uuid = p.server.queue(p.line.channel.id, "InstallProfile", Payload=p.server.mobileconfig(**changes))
        await p.device.connect()

        answer = p.server.answers(uuid)[0]
        assert answer.head.status is Status.ERROR
        assert answer.error_chain[1].localized_description == "The new MDM payload does not match the old payload."
        assert complaint in str(p.device.last_failure)
        assert p.message_types() == ["Authenticate", "TokenUpdate"]

    play(scene)


@pytest.mark.parametrize("legacy", [True, False])
def test_an_identity_in_the_profile_enrolls_without_scep(legacy: bool) -> None:
    async def scene(p: Play) -> None:
        identity = issued_identity()
        content = make_pkcs12(
            identity.certificate_der, identity.key, "correct horse", friendly_name="Device", legacy=legacy
        )
        await p.device.enroll(p.server.mobileconfig(identity=Pkcs12Payload("I", content, "correct horse")))

        assert {s.signer_certificate_der for s in p.server.signatures if s is not None} == {identity.certificate_der}
        assert p.server.issued == 0
        assert p.message_types() == ["Authenticate", "TokenUpdate"]

    play(scene)


def test_an_identity_that_the_password_does_not_open_is_refused() -> None:
    async def scene(p: Play) -> None:
        identity = issued_identity()
        content = make_pkcs12(identity.certificate_der, identity.key, "x", friendly_name="Device", legacy=True)
        with pytest.raises(EnrollmentFailed, match="PKCS #12: the password does not open it"):
            await p.device.enroll(p.server.mobileconfig(identity=Pkcs12Payload("I", content, "y")))

        assert p.device.enrollment is None

    play(scene)


def test_rights_may_not_grow_in_a_renewal() -> None:
    async def scene(p: Play) -> None:
        await p.device.enroll(p.server.mobileconfig(access_rights=3))
        uuid = p.server.queue(p.line.channel.id, "InstallProfile", Payload=p.server.mobileconfig())
        await p.device.connect()

        assert p.server.answers(uuid)[0].head.status is Status.ERROR

    play(scene)


def test_a_renewal_that_fails_leaves_the_old_identity_in_force() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        magic, identity = p.line.push_magic, p.device.back_up().identity
        p.server.queue(p.line.channel.id, "InstallProfile", Payload=p.server.mobileconfig())
        p.server.script["/checkin"].extend([(200, "", b""), (500, "", b"")])
        session = await p.device.connect()

        assert [answered.status for answered in session.answered] == [Status.ERROR]
        assert p.line.push_magic == magic
        assert p.device.back_up().identity == identity

    play(scene)


def test_removing_the_profile_checks_out_and_kills_the_token() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        line = p.line
        await p.device.remove_profile()

        assert isinstance(p.server.messages[-1], CheckOut)
        assert p.device.enrollment is None
        assert p.push(line) == "Unregistered"

    play(scene)


@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_check_out_may_be_lost_or_unwanted(*, is_wanted: bool) -> None:
    async def scene(p: Play) -> None:
        await p.device.enroll(p.server.mobileconfig(check_out_when_removed=is_wanted))
        p.device.behaviour.loses_check_out = is_wanted
        await p.device.remove_profile()

        assert p.message_types() == ["Authenticate", "TokenUpdate"]
        assert p.device.enrollment is None

    play(scene)


@pytest.mark.parametrize("is_supervised", [True, False])
def test_a_user_may_remove_a_locked_profile_of_an_unsupervised_device_only(*, is_supervised: bool) -> None:
    async def scene(p: Play) -> None:
        p.device.facts = replace(p.device.facts, is_supervised=is_supervised)
        await p.device.enroll(p.server.mobileconfig(is_removal_disallowed=True))

        assert await p.device.leave() is not is_supervised
        assert (p.device.enrollment is not None) is is_supervised

    play(scene)


def test_an_erased_device_says_nothing_and_comes_back_as_a_fresh_one() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        old = p.line
        p.device.erase()
        assert p.push(old) == "accepted"
        await p.enroll()

        assert p.message_types() == ["Authenticate", "TokenUpdate"] * 2
        assert p.server.messages[0].channel == p.server.messages[2].channel
        assert p.push(old) == "Unregistered"
        assert p.line.token != old.token

    play(scene)


def test_a_restored_backup_speaks_with_the_old_identity_and_a_new_token() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        backup, old_token = p.device.back_up(), p.line.token
        await p.device.replace_enrollment_profile(p.server.mobileconfig())
        await p.device.restore(backup)

        token_update = p.server.messages[-1]
        assert p.message_types() == ["Authenticate", "TokenUpdate"] * 2 + ["TokenUpdate"]
        assert isinstance(token_update, TokenUpdate)
        assert token_update.push_magic == backup.push_magic
        assert token_update.token != old_token
        signature = p.server.signatures[-1]
        assert signature is not None
        assert signature.signer_certificate_der == backup.identity.certificate_der

    play(scene)


def test_a_backup_restored_to_another_device_is_one_identity_with_two_udids() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        await p.others[0].restore(p.device.back_up())

        signers = {s.signer_certificate_der for s in p.server.signatures if s is not None}
        assert len(signers) == 1
        assert len({message.channel.id for message in p.server.messages}) == 2

    play(scene, devices=2)


def test_a_shared_ipads_user_is_known_by_account() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        await p.device.log_in(User("G", "pupil@school.example", "Pupil"))

        assert p.server.messages[-1].channel.kind is ChannelKind.SHARED_IPAD
        assert p.server.messages[-1].channel.id.endswith(":pupil@school.example")

    play(scene, Platform.IPAD)


def test_on_a_shared_ipad_one_user_at_a_time_is_logged_in() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        first, second = User("G", "first@school.example", "First"), User("H", "second@school.example", "Second")
        line = await p.device.log_in(first)
        assert line is not None
        await p.device.log_in(second)
        p.push(line)

        assert p.device.users == {first: False, second: True}
        assert line.pushes_seen == 0
        assert await p.device.log_in(first) is line
        assert line.pushes_seen == 1

    play(scene, Platform.IPAD)


def test_a_new_user_of_a_shared_ipad_waits_until_it_is_configured() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        item: PlistValue = {"Item": "SharedDeviceConfiguration", "AwaitUserConfiguration": {"Enabled": True}}
        p.server.queue(p.line.channel.id, "Settings", Settings=[item])
        p.server.queue(p.line.channel.id, "UserConfigured")
        await p.device.connect()
        user = User("G", "pupil@school.example", "Pupil")
        line = await p.device.log_in(user)
        assert line is not None
        uuid = p.server.queue(line.channel.id, "UserConfigured")
        await p.device.connect(user)

        assert p.statuses() == ["Idle", "Acknowledged", "Error", "Idle", "Acknowledged"]
        assert len(p.server.answers(uuid)) == 1
        updates = [message for message in p.server.messages if isinstance(message, TokenUpdate)]
        assert [update.awaiting_configuration for update in updates] == [False, True, False]

    play(scene, Platform.IPAD)


def test_a_user_whom_the_server_refuses_has_no_channel() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        user = User("G", "guest", "Guest")
        p.server.script["/checkin"].append((410, "", b""))

        assert await p.device.log_in(user) is None
        assert (await p.device.connect(user)).end is SessionEnd.SILENT

    play(scene, Platform.MAC)


def test_a_rotated_token_is_told_and_the_old_one_is_dead() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        old = replace(p.line)
        await p.device.rotate_token()

        token_update = p.server.messages[-1]
        assert isinstance(token_update, TokenUpdate)
        assert token_update.token == p.line.token != old.token
        assert token_update.push_magic == old.push_magic
        assert p.push(old) == "Unregistered"
        assert p.push(p.line) == "accepted"

    play(scene)


def test_a_token_update_that_failed_is_sent_before_the_next_connect() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.server.script["/checkin"].append((503, "", b""))
        await p.device.rotate_token()
        assert p.message_types() == ["Authenticate", "TokenUpdate"]
        await p.device.connect()

        assert p.message_types() == ["Authenticate", "TokenUpdate", "TokenUpdate"]
        assert p.statuses() == ["Idle"]

    play(scene)


def test_a_device_in_setup_assistant_leaves_it_when_told() -> None:
    async def scene(p: Play) -> None:
        await p.device.open_link(f"{ORIGIN}/enroll", awaits_configuration=True)
        p.server.queue(p.line.channel.id, "DeviceConfigured")
        await p.device.connect()

        updates = [message for message in p.server.messages if isinstance(message, TokenUpdate)]
        assert [update.awaiting_configuration for update in updates] == [True, False]

    play(scene)


def test_an_unsupervised_mac_keeps_its_bootstrap_token() -> None:
    async def scene(p: Play) -> None:
        p.device.facts = replace(p.device.facts, is_supervised=False)
        await p.enroll()

        assert not any(isinstance(message, SetBootstrapToken) for message in p.server.messages)

    play(scene, Platform.MAC)


def test_a_device_that_is_off_cannot_enroll() -> None:
    async def scene(p: Play) -> None:
        p.device.power_off()
        with pytest.raises(EnrollmentFailed, match="download: no connection"):
            await p.enroll()
        with pytest.raises(EnrollmentFailed, match="SCEP"):
            await p.device.enroll(p.server.mobileconfig())

        assert p.server.requests == []

    play(scene)


def test_two_plays_of_one_seed_send_the_same_bytes_outside_scep() -> None:
    async def scene(p: Play) -> list[bytes]:
        await p.enroll()
        p.server.queue(p.line.channel.id, "SecurityInfo")
        await p.device.connect()
        return [request["body"] for request in p.server.requests if request["path"] != "/scep"]

    assert play(scene, Platform.MAC, seed=5) == play(scene, Platform.MAC, seed=5)
    assert play(scene, Platform.MAC, seed=5) != play(scene, Platform.MAC, seed=6)
