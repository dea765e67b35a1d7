"""`muster enroll` and `muster push`."""

import plistlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import FORMER, MAC
from tests.simulator.apns_pki import TOPIC
from tests.support.command_line import CommandLine, PushFiles, push_files
from tests.support.profiles import scep_of

from muster.cli.enroll import read_duration
from muster.protocol.profile import decode_enrollment_profile


@pytest.fixture
def files(tmp_path: Path) -> PushFiles:
    """A good push certificate."""
    return push_files(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        (" 2w ", timedelta(days=14)),
    ],
)
def test_durations_have_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert read_duration(text) == expected


def test_link_prints_the_url_and_tells_what_it_is_good_for(muster: CommandLine) -> None:
    code, out, said = muster.run("enroll", "link", "--uses", "3", "--expires", "2h")

    assert code == 0
    assert out.startswith("http://127.0.0.1:8443/enroll/")
    assert len(out.splitlines()) == 1
    assert said.startswith("Good for 3 devices until ")


def test_link_tells_programs_what_it_made(muster: CommandLine) -> None:
    made = muster("enroll", "link", "--uses", "3", "--expires", "7d")

    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert made["url"].endswith(f"/enroll/{made['token']}")
    assert made["uses"] == 3
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)


@pytest.mark.parametrize("kind", ["account_user", "account_device"])
def test_link_by_account_is_named_by_its_id_and_tells_the_policy_that_offers_it(muster: CommandLine, kind: str) -> None:
    made = muster("enroll", "link", "--kind", kind)

    _, out, said = muster.run("enroll", "link", "--kind", kind)

    link_id = out.strip().rpartition("/")[2]
    assert made["url"].endswith(f"/account/enroll/{made['id']}")
    assert f"""muster policy set account_driven '{{"default": "{link_id}"}}'""" in said


def test_link_for_setup_assistant_with_a_sign_in_tells_the_address_of_its_page(muster: CommandLine) -> None:
    _, out, said = muster.run("enroll", "link", "--kind", "ade", "--sign-in")

    assert f"{out.strip()}/web as their configuration_web_url" in said


def test_links_carry_the_public_url(muster: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_PUBLIC_URL", "https://mdm.example.com/")

    assert muster.link().startswith("https://mdm.example.com/enroll/")


@pytest.mark.parametrize("by", ["url", "token"])
def test_profile_of_a_link_is_for_one_device_by_url_or_token(muster: CommandLine, files: PushFiles, by: str) -> None:
    muster.upload(files)
    link = muster("enroll", "link", "--access-rights", "3")[by]

    code, out, _ = muster.run("enroll", "profile", link, "--unsigned")

    opened = decode_enrollment_profile(out.encode())
    assert code == 0
    assert (opened.topic, opened.access_rights) == (TOPIC, 3)
    assert opened.server_url == "http://127.0.0.1:8443/mdm"


def test_each_profile_of_a_link_has_a_challenge_of_its_own(muster: CommandLine, files: PushFiles) -> None:
    muster.upload(files)
    link = muster.link()

    profiles = [muster.run("enroll", "profile", link, "--unsigned")[1].encode() for _ in range(2)]

    assert len({scep_of(decode_enrollment_profile(profile)).challenge for profile in profiles}) == 2


def test_profile_without_a_push_certificate_is_refused_with_a_remedy(muster: CommandLine) -> None:
    code, out, said = muster.run("enroll", "profile", muster.link(), "--unsigned")

    assert (code, out) == (4, "")
    assert "muster push-cert upload" in said


def test_profile_of_an_unknown_link_is_absent(muster: CommandLine, files: PushFiles) -> None:
    muster.upload(files)

    code, _, said = muster.run("enroll", "profile", "https://mdm.example.com/enroll/unknown", "--unsigned")

    assert code == 3
    assert "not known" in said


def test_push_is_wished_for_and_refused_where_it_can_not_be(muster: CommandLine) -> None:
    wished = muster("push", "send", MAC)
    absent, _, _ = muster.run("push", "send", "nobody")
    refused, _, said = muster.run("push", "send", FORMER)

    assert (wished["id"], wished["wanted"]) == (MAC, True)
    assert wished["words"] == "Not pushed: no TokenUpdate has brought a push token yet."
    assert (absent, refused) == (3, 4)
    assert "is not enrolled now" in said


def test_unsigned_profile_is_a_plain_property_list(muster: CommandLine, files: PushFiles) -> None:
    muster.upload(files)

    _, out, _ = muster.run("enroll", "profile", muster.link(), "--unsigned")

    types = {payload["PayloadType"] for payload in plistlib.loads(out.encode())["PayloadContent"]}
    assert types >= {"com.apple.mdm", "com.apple.security.scep"}


def test_link_carries_what_was_asked_for(muster: CommandLine) -> None:
    options = ("--kind", "ota", "--sign-in", "--serial", "c02xk1", "--serial", "C02XK2", "--uses", "unlimited")
    made = muster("enroll", "link", *options, "--capabilities", "bootstrap-token", "--not-removable", "--note", "lab")

    [listed] = muster("enroll", "links")
    assert made["url"].endswith(f"/ota/{made['token']}")
    assert (listed["id"], listed["kind"], listed["state"], listed["note"]) == (made["id"], "ota", "open", "lab")
    assert (listed["requires_sign_in"], listed["is_removal_disallowed"]) == (True, True)
    assert listed["serial_numbers"] == ["C02XK1", "C02XK2"]
    assert listed["capabilities"] == ["com.apple.mdm.bootstraptoken"]
    assert listed["uses_allowed"] is None


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--uses", "0"), 2, "unlimited"),
        (("--uses", "x"), 2, "unlimited"),
        (("--uses", "1000001"), 2, "unlimited"),
        (("--capabilities", "flying"), 2, "user-channels"),
        (("--kind", "flying"), 2, "--kind"),
        (("--access-rights", "8"), 4, "could never be renewed"),
        (("--access-rights", "131"), 4, "requires 64"),
        (("--identity", "pkcs12"), 4, "allow_pkcs12_identities"),
        (("--serial", "not a serial!"), 4, "no serial number"),
        (("--required-os", "18.0"), 4, "Automated Device Enrollment"),
    ],
)
def test_link_that_would_strand_its_devices_is_not_made(
    muster: CommandLine, options: tuple[str, ...], code: int, said: str
) -> None:
    outcome = muster.run("enroll", "link", *options)

    assert outcome[0] == code
    assert said in " ".join(outcome[2].split())
    assert muster("enroll", "links") == []


def test_identity_made_here_needs_the_setting(
    muster: CommandLine, files: PushFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_ALLOW_PKCS12_IDENTITIES", "true")
    muster.upload(files)
    token = muster("enroll", "link", "--identity", "pkcs12", "--capabilities", "none")["token"]

    code, out, _ = muster.run("enroll", "profile", token, "--unsigned")
    used_up = muster.run("enroll", "profile", token, "--unsigned")

    assert code == 0
    profile = decode_enrollment_profile(out.encode())
    assert (type(profile.identity).__name__, profile.server_capabilities) == ("Pkcs12Payload", ())
    assert used_up[0] == 4


def test_administrator_gets_the_profile_of_a_link_for_people_who_sign_in(muster: CommandLine, files: PushFiles) -> None:
    muster.upload(files)
    token = muster("enroll", "link", "--sign-in")["token"]

    assert muster.run("enroll", "profile", token, "--unsigned")[0] == 0


def test_revoked_link_opens_nothing_and_stays_listed(muster: CommandLine, files: PushFiles) -> None:
    muster.upload(files)
    made = muster("enroll", "link")

    code, out, _ = muster.run("enroll", "revoke", made["id"])

    assert (code, out) == (0, f"{made['id']} enrolls no more devices.\n")
    assert muster.run("enroll", "profile", made["token"], "--unsigned")[0] == 4
    assert "revoked" in muster.run("enroll", "links")[1]
    assert muster.run("enroll", "revoke", "unknown")[0] == 3
