"""A simulated device enrolls by each way there is, and fails where real ones do."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.fake_doors import PASSWORD, TOKEN
from tests.simulator.fake_server import ORIGIN
from tests.simulator.play import Play, play

from muster.crypto.certificates import inspect_certificate
from muster.crypto.issuance import make_self_signed
from muster.crypto.pkcs12 import make_pkcs12
from muster.laboratory.virtual_time import START
from muster.protocol.account_driven import ServiceVersion, www_authenticate_as_web
from muster.protocol.checkin import Authenticate, TokenUpdate
from muster.protocol.enrollment_errors import (
    ErrorReply,
    software_update_required,
    unrecognized_device,
    well_known_failed,
)
from muster.protocol.identifiers import ChannelKind
from muster.protocol.plist import PlistValue
from muster.protocol.profile import Pkcs12Payload
from muster.simulator.behaviour import Habits
from muster.simulator.device_authority import device_authority
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.facts import Platform
from muster.simulator.keys.published import published_keys
from muster.simulator.transport import Response
from muster.simulator.web_view import Credentials, visit

WHO = Credentials("someone@school.example", PASSWORD)
STRANGER = Credentials("someone@school.example", "guessed")


async def gets_and_answers_a_command(p: Play) -> None:
    uuid = p.server.queue(p.line.channel.id, "ProfileList")
    await p.device.connect()

    assert [report.head.status_text for report in p.server.answers(uuid)] == ["Acknowledged"]


# The enrollment page


@pytest.mark.parametrize(("path", "credentials"), [("/page", None), ("/page/get", None), ("/page/signed-in", WHO)])
def test_a_person_opens_the_page_signs_in_where_asked_and_installs(path: str, credentials: Credentials | None) -> None:
    async def scene(p: Play) -> None:
        await p.device.open_page(f"{ORIGIN}{path}", credentials)

        await gets_and_answers_a_command(p)
        assert [form["next"] for form in p.doors.forms] == ([["n"]] if credentials else [])

    play(scene)


@pytest.mark.parametrize(
    ("path", "credentials", "message"),
    [
        ("/page/signed-in", None, "sign-in: 200"),
        ("/page/signed-in", STRANGER, "sign-in: 403"),
        ("/page/nowhere", None, "download: the page leads nowhere"),
        ("/page/missing", None, "download: 404 text/plain"),
    ],
)
def test_a_page_that_gives_nothing_enrolls_nothing(path: str, credentials: Credentials | None, message: str) -> None:
    async def scene(p: Play) -> None:
        with pytest.raises(EnrollmentFailed, match=message):
            await p.device.open_page(f"{ORIGIN}{path}", credentials)

        assert p.device.enrollment is None

    play(scene)


@settings(max_examples=50)
@given(st.binary(max_size=200) | st.text("<>=\"' aformhref/:[]", max_size=80).map(str.encode), st.text(max_size=20))
def test_no_page_breaks_the_browser(html: bytes, location: str) -> None:
    class Noise:
        async def send(self, _method: str, url: str, _headers: object, _body: bytes) -> Response:
            headers = {"content-type": "text/html", "location": location}
            return Response(200 if url.endswith("!") else 302, headers, html)

    async def scene(_p: Play) -> None:
        for url in (f"{ORIGIN}/!", ORIGIN):
            with pytest.raises(EnrollmentFailed):
                await visit(Noise(), url, credentials=WHO)

    play(scene)


# Over the air


def test_a_device_enrolls_over_the_air_in_three_phases() -> None:
    async def scene(p: Play) -> None:
        await p.device.enroll_over_the_air(f"{ORIGIN}/ota")

        facts = p.device.facts
        assert [a.udid for a in p.doors.attributes] == [facts.udid] * 2
        assert [a.challenge for a in p.doors.attributes] == ["ota-challenge"] * 2
        assert p.doors.attributes[0].imei == facts.imei
        assert p.doors.attributes[0].mac_address_en0 is None
        assert p.server.issued == 2
        await gets_and_answers_a_command(p)

    play(scene)


def test_a_mac_may_sign_the_second_phase_by_itself() -> None:
    async def scene(p: Play) -> None:
        p.doors.allows_any_signer = True
        await p.device.enroll_over_the_air(f"{ORIGIN}/ota", has_factory_identity=False)

        await gets_and_answers_a_command(p)

    play(scene, Platform.MAC)


def test_what_is_no_profile_service_ends_the_first_phase() -> None:
    async def scene(p: Play) -> None:
        with pytest.raises(EnrollmentFailed, match="profile: PayloadType is not Profile Service"):
            await p.device.enroll_over_the_air(f"{ORIGIN}/page/get")
        p.server.script["/scep"].append((503, "", b""))
        with pytest.raises(EnrollmentFailed, match="SCEP"):
            await p.device.enroll_over_the_air(f"{ORIGIN}/ota")

        assert p.device.enrollment is None

    play(scene)


# Automated Device Enrollment


def test_setup_assistant_enrolls_and_waits_until_the_server_lets_it_go() -> None:
    async def scene(p: Play) -> None:
        await p.device.set_up(f"{ORIGIN}/ade")
        life = asyncio.create_task(p.device.live(Habits()))
        await asyncio.sleep(600)
        polls = len(p.statuses())
        p.server.queue(p.line.channel.id, "DeviceConfigured")
        await asyncio.sleep(timedelta(days=1).total_seconds())
        life.cancel()

        [info] = p.doors.machine_infos
        assert (info.udid, info.serial) == (p.device.facts.udid, p.device.facts.serial_number)
        updates = [message for message in p.server.messages if isinstance(message, TokenUpdate)]
        assert [update.awaiting_configuration for update in updates] == [True, False]
        assert 20 <= polls <= 120
        assert len(p.statuses()) <= polls + 3

    play(scene)


@pytest.mark.parametrize("credentials", [WHO, None, STRANGER])
def test_the_web_view_carries_machine_info_and_signs_in(credentials: Credentials | None) -> None:
    async def scene(p: Play) -> None:
        if credentials is WHO:
            await p.device.set_up(f"{ORIGIN}/ade", web_url=f"{ORIGIN}/ade/web", credentials=credentials)
            assert [info.serial for info in p.doors.machine_infos] == [p.device.facts.serial_number]
            await gets_and_answers_a_command(p)
            return
        with pytest.raises(EnrollmentFailed, match="sign-in"):
            await p.device.set_up(f"{ORIGIN}/ade", web_url=f"{ORIGIN}/ade/web", credentials=credentials)

        assert p.device.enrollment is None

    play(scene)


def test_a_device_that_must_update_first_does_and_comes_back() -> None:
    async def scene(p: Play) -> None:
        p.doors.error, p.doors.required_build = software_update_required("26.0", "23A341"), "23A341"
        p.device.behaviour.seconds_per_update = 1800
        await p.device.set_up(f"{ORIGIN}/ade")

        assert [info.os_version for info in p.doors.machine_infos][1:] == ["26.0"]
        assert p.loop.now() >= START + timedelta(minutes=30)
        authenticate = p.server.messages[0]
        assert isinstance(authenticate, Authenticate)
        assert authenticate.build_version == "23A341"

    play(scene)


@pytest.mark.parametrize(
    ("platform", "error"),
    [(Platform.IPAD, unrecognized_device()), (Platform.APPLE_TV, software_update_required("26.0", "23A341"))],
)
def test_a_refusal_that_a_device_can_do_nothing_about_stops_it(platform: Platform, error: ErrorReply) -> None:
    async def scene(p: Play) -> None:
        p.doors.error = error
        with pytest.raises(EnrollmentFailed, match=r"MachineInfo: com\.apple"):
            await p.device.set_up(f"{ORIGIN}/ade")

        assert len(p.doors.machine_infos) == 1
        assert p.device.enrollment is None

    play(scene, platform)


def test_a_server_that_wants_ever_other_versions_is_given_up() -> None:
    async def scene(p: Play) -> None:
        p.doors.error = software_update_required("26.0", "23A341")
        with pytest.raises(EnrollmentFailed, match="ever other versions"):
            await p.device.set_up(f"{ORIGIN}/ade")

    play(scene)


def test_the_authorities_of_devices_have_lapsed_as_apples_have() -> None:
    authority = device_authority()

    assert [inspect_certificate(der).not_after.year for der in authority.chain] == [2014, 2022]
    assert inspect_certificate(authority.root_der).not_after > START


# Accounts


def test_a_user_enrollment_names_the_account_and_not_the_device() -> None:
    async def scene(p: Play) -> None:
        outside = p.device.facts
        await p.device.sign_in_to_account(WHO)
        await gets_and_answers_a_command(p)

        assert p.doors.discovery_queries == [{"user-identifier": [WHO.user_name], "model-family": ["iPhone"]}]
        assert {info.serial for info in p.doors.machine_infos} == {None}
        authenticate = p.server.messages[0]
        assert isinstance(authenticate, Authenticate)
        assert authenticate.channel.kind is ChannelKind.USER_ENROLLMENT_DEVICE
        assert authenticate.serial_number is None
        bearers = {
            request["headers"].get("authorization") for request in p.server.requests if request["path"] == "/mdm"
        }
        assert bearers == {f"Bearer {TOKEN}"}
        first_id = p.device.facts.enrollment_id
        await p.device.remove_profile()
        assert p.device.facts == outside
        await p.device.sign_in_to_account(WHO)
        assert p.device.facts.enrollment_id != first_id

    play(scene)


def test_a_device_enrollment_by_account_names_the_device() -> None:
    async def scene(p: Play) -> None:
        p.doors.version = ServiceVersion.ADDE
        await p.device.sign_in_to_account(WHO)

        assert p.server.messages[0].identifiers.udid == p.device.facts.udid

    play(scene, Platform.IPAD)


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        (STRANGER, "sign-in: 403"),
        (Credentials("nobody", PASSWORD), "discovery: the account's name has no domain"),
    ],
)
def test_an_account_that_is_refused_enrolls_nothing(credentials: Credentials, message: str) -> None:
    async def scene(p: Play) -> None:
        with pytest.raises(EnrollmentFailed, match=message):
            await p.device.sign_in_to_account(credentials)

        assert p.device.enrollment is None
        assert p.device.requests.bearer is None
        assert p.device.facts.enrollment_id is None

    play(scene)


def test_discovery_may_refuse_the_account() -> None:
    async def scene(p: Play) -> None:
        p.doors.error = well_known_failed(message="Not you")
        with pytest.raises(EnrollmentFailed, match=r"discovery: com\.apple\.well-known\.failed"):
            await p.device.sign_in_to_account(WHO)

    play(scene)


def test_a_failed_installation_leaves_neither_token_nor_enrollment_id() -> None:
    async def scene(p: Play) -> None:
        p.server.script["/checkin"].append((500, "", b""))
        with pytest.raises(EnrollmentFailed, match="Authenticate"):
            await p.device.sign_in_to_account(WHO)

        assert p.device.requests.bearer is None
        assert p.device.facts.enrollment_id is None

    play(scene)


def test_a_refused_access_token_asks_for_the_user_and_ends_nothing() -> None:
    async def scene(p: Play) -> None:
        await p.device.sign_in_to_account(WHO)
        challenge = www_authenticate_as_web(f"{ORIGIN}/account/sign-in")
        p.device.heed(Response(401, {"www-authenticate": challenge}, b""), p.line)
        pages = [p.device.sign_in_page]
        await p.device.sign_in_again(WHO)
        pages.append(p.device.sign_in_page)

        assert pages == [f"{ORIGIN}/account/sign-in", None]
        await gets_and_answers_a_command(p)

    play(scene)


# An identity in the profile, Return to Service


def test_an_identity_may_come_whole_in_the_profile() -> None:
    async def scene(p: Play) -> None:
        key = published_keys()[0]
        lifetime = timedelta(days=9)
        certificate = make_self_signed("device", key, now=p.loop.now(), lifetime=lifetime, serial_number=1)
        content = make_pkcs12(certificate, key, "word", friendly_name="device", legacy=True)
        await p.device.enroll(p.server.mobileconfig(identity=Pkcs12Payload("I", content, "word")))
        with pytest.raises(EnrollmentFailed, match="PKCS #12"):
            await p.device.replace_enrollment_profile(
                p.server.mobileconfig(identity=Pkcs12Payload("I", content, "other"))
            )

        assert p.server.issued == 0
        await gets_and_answers_a_command(p)

    play(scene)


def test_an_erased_device_returns_to_service_with_the_profile_it_took_along() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        old = p.line
        returning: dict[str, PlistValue] = {"Enabled": True, "MDMProfileData": p.server.mobileconfig()}
        p.server.queue(p.line.channel.id, "EraseDevice", ReturnToService=returning)
        p.server.script["/checkin"].append((503, "", b""))
        await p.device.connect()

        assert p.message_types() == ["Authenticate", "TokenUpdate"] * 2
        assert p.line is not old
        assert p.push(old) == "Unregistered"
        assert p.server.messages[2].channel == old.channel

    play(scene)


@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_device_erased_by_somebody_asks_whether_to_return(*, is_enabled: bool) -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.server.returns_with = p.server.mobileconfig() if is_enabled else None
        await p.device.erase_locally()

        assert (p.device.enrollment is not None) is is_enabled
        assert p.message_types()[2] == "ReturnToService"

    play(scene)
