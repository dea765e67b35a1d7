"""`muster import`: told first, done when asked for, and done again without harm."""

import fcntl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.operations.test_adopt_profiles import THEIRS
from tests.simulator.apns_pki import push_certificate
from tests.support.bolt_files import message, micromdm_file
from tests.support.command_line import CommandLine
from tests.support.nanomdm_storage import Kept, NanomdmStorage, write_files
from tests.support.site import ADA, IPAD, MAC, TOPIC, authority, id_of

from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import issue_identity
from muster.crypto.keys import generate_ec_key
from muster.crypto.requests import make_request, read_request
from muster.protocol.profile import encode_enrollment_profile

BAD = replace(MAC, udid="EXPIRED")


def identity(days: int = 100) -> SignerIdentity:
    """An identity of the other server, good for so many days from now."""
    key = generate_ec_key()
    now = datetime.now(UTC)
    certificate = issue_identity(
        read_request(make_request(key, common_name="device")),
        authority(7),
        subject_common_name="device",
        not_before=now - timedelta(days=300),
        not_after=now + timedelta(days=days),
        serial_number=5,
    )
    return SignerIdentity(certificate, key)


@pytest.fixture
def dsn(tmp_path: Path) -> str:
    """A NanoMDM's database with two devices, one of them with a user and a command, and one that has expired."""
    url = f"sqlite:///{tmp_path / 'nano.db'}"
    storage = NanomdmStorage(url, "nano_")
    made = push_certificate(TOPIC)
    storage.add_push_certificate(TOPIC, made.certificate_pem, made.key_pem)
    storage.add(
        Kept(MAC, identity(), users=(ADA,), commands=(("C1", "ProfileList", None), ("C2", "EraseDevice", None)))
    )
    storage.add(Kept(IPAD, hashes=(b"h" * 32,)))
    storage.add(Kept(BAD, identity(-1)))
    storage.close()
    return url


def test_import_is_rehearsed_first(muster: CommandLine, dsn: str) -> None:
    told = muster("import", "nanomdm", dsn)

    assert (told["devices"], told["users"], told["commands"], told["identities_awaited"]) == (2, 1, 1, 1)
    assert told["push_certificates"] == [TOPIC]
    assert not told["is_applied"]
    assert [one["id"] for one in muster("devices", "list") if one["id"] in (id_of(MAC), id_of(IPAD))] == []


def test_import_brings_over_what_it_told(muster: CommandLine, dsn: str) -> None:
    rehearsed = muster("import", "nanomdm", dsn)
    done = muster("import", "nanomdm", dsn, "--apply")
    again = muster("import", "nanomdm", dsn, "--apply")

    assert done == {**rehearsed, "is_applied": True}
    assert [why for _, why in done["stayed"]][-1].endswith(
        f"expired on {datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    )
    listed = {one["id"]: one for one in muster("devices", "list")}
    assert listed[id_of(MAC)]["state"] == "enrolled"
    assert listed[id_of(MAC)]["commands_waiting"] == 1
    assert (again["devices"], again["known"]) == (0, 2)
    assert again["push_certificates"] == []


def test_who_stays_behind_is_named(muster: CommandLine, dsn: str) -> None:
    engine = sa.create_engine(dsn)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE nano_devices SET authenticate = 'torn'"))
    engine.dispose()

    told = muster("import", "nanomdm", dsn)

    assert {who for who, _ in told["stayed"]} == {id_of(MAC), id_of(IPAD), id_of(BAD)}


def test_push_certificates_are_rehearsed_too(muster: CommandLine, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'nano.db'}"
    storage = NanomdmStorage(url, "nano_")
    storage.add_push_certificate(TOPIC, b"-----BEGIN CERTIFICATE-----", b"-----")
    storage.close()

    rehearsed = muster("import", "nanomdm", url)
    done = muster("import", "nanomdm", url, "--apply")

    assert rehearsed["push_certificates"] == []
    assert [who for who, _ in rehearsed["stayed"]] == [f"the push certificate of {TOPIC}"]
    assert done == {**rehearsed, "is_applied": True}


def test_import_that_breaks_off_says_how_far_it_came(muster: CommandLine, tmp_path: Path) -> None:
    devices: list[dict[int, int | bytes | str]] = [{2: f"UDID-{number:02}", 3: "SERIAL", 13: 1} for number in range(30)]
    pushes: dict[str, dict[int, int | bytes | str]] = {
        f"UDID-{number:02}": {2: "00" * 32, 3: "magic", 4: TOPIC} for number in range(30)
    }
    file = tmp_path / "micromdm.db"
    torn = message({2: "UDID-29"})
    file.write_bytes(micromdm_file(devices, pushes, {}).replace(torn, b"\x12\xff" + torn[2:], 1))

    rehearsed = muster.run("import", "micromdm", str(file))[2]
    code, _, said = muster.run("import", "micromdm", str(file), "--apply")

    assert code == 1
    assert "came over before" not in rehearsed
    assert "20 devices and 0 push certificates came over before" in said
    assert len([one for one in muster("devices", "list") if one["id"].startswith("UDID-")]) == 20


def test_file_that_is_in_use_is_left_alone(muster: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "micromdm.db"
    file.write_bytes(micromdm_file([{2: "UDID-1", 13: 1}], {}, {}))
    with file.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, _, said = muster.run("import", "micromdm", str(file))

    assert code == 1
    assert "Stop MicroMDM" in said
    assert muster.run("import", "micromdm", str(file))[0] == 0


def test_queue_may_stay_behind(muster: CommandLine, dsn: str) -> None:
    done = muster("import", "nanomdm", dsn, "--apply", "--without-queue")

    assert done["commands"] == 0


def test_people_are_told_in_words(muster: CommandLine, dsn: str) -> None:
    code, told, note = muster.run("import", "nanomdm", dsn)

    assert code == 0
    assert "2 devices with 1 users and 1 commands; 0 are here already." in told
    assert "EraseDevice C2" in told
    assert note == "Nothing was changed; --apply does it.\n"


def test_files_are_brought_over_too(muster: CommandLine, tmp_path: Path) -> None:
    directory = tmp_path / "dbkv"
    directory.mkdir()
    write_files(directory, [Kept(MAC, identity(), users=(ADA,))])

    done = muster("import", "nanomdm", str(directory), "--apply")

    assert (done["devices"], done["users"]) == (1, 1)


def test_what_is_no_storage_is_refused(muster: CommandLine, tmp_path: Path) -> None:
    code, _, said = muster.run("import", "nanomdm", str(tmp_path))

    assert code == 1
    assert "file storage" in said
    assert muster.run("import", "nanomdm", "nowhere")[0] == 1


def test_micromdm_is_brought_over(muster: CommandLine, tmp_path: Path) -> None:
    made = push_certificate(TOPIC)
    device: dict[int, int | bytes | str] = {1: "uuid-000", 2: "UDID-1", 3: "C02XK9", 13: 1}
    push: dict[int, int | bytes | str] = {1: "UDID-1", 2: (b"t" * 32).hex(), 3: "magic", 4: TOPIC}
    file = tmp_path / "micromdm.db"
    file.write_bytes(
        micromdm_file([device], {"UDID-1": push}, {"UDID-1": b"h" * 32}, (made.certificate_pem, made.key_pem))
    )

    told = muster("import", "micromdm", str(file))
    done = muster("import", "micromdm", str(file), "--apply")

    assert (told["devices"], told["identities_awaited"], told["push_certificates"]) == (1, 1, [TOPIC])
    assert done == {**told, "is_applied": True}
    [listed] = [one for one in muster("devices", "list") if one["id"] == "UDID-1"]
    assert (listed["state"], listed["serial_number"]) == ("enrolled", "C02XK9")
    assert muster.run("import", "micromdm", str(tmp_path / "absent.db"))[0] == 1


# --- the profile that devices have


def test_profile_of_devices_that_came_over_is_told_first_and_then_supplied(
    muster: CommandLine, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_PUBLIC_URL", "https://mdm.example")
    muster("import", "nanomdm", dsn, "--apply")
    file = tmp_path / "theirs.mobileconfig"
    file.write_bytes(encode_enrollment_profile(THEIRS))
    device = id_of(MAC)

    unknown = muster("import", "profile", str(file), device)
    told = muster("import", "profile", str(file), "--where", f"id = '{device}'", "--anyway")
    done = muster("import", "profile", str(file), device, "--anyway", "--apply")
    again = muster("import", "profile", str(file), device, "--anyway")

    assert list(unknown["refused"]) == [device]
    assert (told["device_ids"], told["is_applied"]) == ([device], False)
    assert done == {**told, "is_applied": True}
    assert again["refused"][device]["code"] == "conflict"
    assert muster.run("devices", "renew", device)[0] == 0


def test_summary_of_a_supplied_profile_names_whom_it_left_out(
    muster: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_PUBLIC_URL", "https://mdm.example")
    file = tmp_path / "theirs.mobileconfig"
    file.write_bytes(encode_enrollment_profile(THEIRS))

    code, out, _ = muster.run("import", "profile", str(file), "NOBODY")
    none, _, said = muster.run("import", "profile", str(file))
    nowhere = muster.run("import", "profile", str(file), "--where", "id = 'NOBODY'")

    assert code == 0
    assert "0 devices could be renewed; 1 are left out." in out
    assert "no device NOBODY is known" in out
    assert out.endswith("Nothing was changed; --apply does it.\n")
    assert (none, nowhere[0]) == (2, 3)
    assert "name devices, or give --where" in said
