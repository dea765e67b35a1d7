"""`muster push-cert`: the request, the upload, the list."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import MAC
from tests.simulator.apns_pki import TOPIC
from tests.support import fleet
from tests.support.command_line import CommandLine, PushFiles, push_files
from tests.support.push_portal import (
    PushPortal,
    developer_relations,
    root,
    vendor_certificate,
)

from muster.crypto.certificate_files import MAX_FILE_OCTETS
from muster.crypto.certificates import pem_from_der
from muster.crypto.keys import private_key_pem, public_key_der
from muster.simulator.keys.published import published_keys
from muster.storage.sqlite import SqliteEngine

YEAR = timedelta(days=365)


@pytest.fixture
def files(tmp_path: Path) -> PushFiles:
    """A good push certificate, not Apple's."""
    return push_files(tmp_path)


@pytest.fixture
def engine(data_dir: Path) -> Iterator[SqliteEngine]:
    """The database of the installation."""
    engine = SqliteEngine(data_dir / "muster.db", synchronous="OFF")
    yield engine
    engine.close()


def hold_vendor_certificate(muster: CommandLine, directory: Path) -> None:
    key, now = published_keys()[7], datetime.now(UTC)
    certificate = vendor_certificate(public_key_der(key), not_before=now - timedelta(days=1), not_after=now + YEAR)
    chain = pem_from_der([developer_relations().certificate_der, root().certificate_der])
    for name, content in (("vendor.cer", certificate), ("vendor.key", private_key_pem(key)), ("chain.pem", chain)):
        (directory / name).write_bytes(content)
    where = {name: str(directory / name) for name in ("vendor.cer", "vendor.key", "chain.pem")}
    arguments = ("--cert", where["vendor.cer"], "--key", where["vendor.key"], "--chain", where["chain.pem"])
    code, out, said = muster.run("push-cert", "vendor", "upload", *arguments)
    assert (code, out.startswith("O=Example,CN=MDM Vendor: Example signs requests until ")) == (0, True), said
    assert "not Apple's" in said


def test_plain_request_goes_to_standard_output_with_what_to_do_beside_it(muster: CommandLine) -> None:
    code, out, said = muster.run("push-cert", "request", "--common-name", "Example", "--country", "DE")

    assert code == 0
    assert out.startswith("-----BEGIN CERTIFICATE REQUEST-----\n")
    assert "Have an MDM vendor sign this request" in said
    assert "muster push-cert upload --cert FILE" in said


def test_first_certificate_and_its_renewal_go_by_the_portal(muster: CommandLine, tmp_path: Path) -> None:
    portal = PushPortal()
    hold_vendor_certificate(muster, tmp_path)
    said = []
    for number in range(2):
        request, answer = tmp_path / f"request-{number}", tmp_path / f"push-{number}.pem"
        said.append(muster.run("push-cert", "request", "--out", str(request))[2])
        now = datetime.now(UTC) + timedelta(seconds=number - 5)
        answer.write_bytes(portal.renew("com.apple.mgmt.External.x", request.read_bytes(), now=now))
        accepted = muster("push-cert", "upload", "--cert", str(answer))

    assert "signed by your MDM vendor certificate" in said[0]
    assert "upload it with an Apple Account" in said[0]
    assert "renew the entry of\n     com.apple.mgmt.External.x, which ends on" in said[1]
    assert "Never make a new one" in said[1]
    assert (accepted["change"], accepted["is_of_apple"]) == ("renewed", True)


def test_request_for_programs_tells_what_was_made(muster: CommandLine, tmp_path: Path) -> None:
    made = muster("push-cert", "request", "--out", str(tmp_path / "request"))

    assert (tmp_path / "request").read_text() == made["request_pem"]
    assert (made["purpose"], made["signed_request"], made["renew"]) == ("push", None, [])


@pytest.mark.parametrize("command", [("push-cert", "request"), ("push-cert", "vendor", "request")])
def test_request_does_not_overwrite_and_makes_no_key_in_vain(
    muster: CommandLine, tmp_path: Path, command: tuple[str, ...]
) -> None:
    present = tmp_path / "present"
    present.write_text("kept")

    exists = muster.run(*command, "--out", str(present))
    nowhere = muster.run(*command, "--out", str(tmp_path / "nowhere" / "file"))

    assert (exists[0], nowhere[0]) == (2, 2)
    assert present.read_text() == "kept"
    assert muster("push-cert", "list")["pending_requests"] == []


def test_request_for_a_vendor_certificate_tells_where_it_goes(muster: CommandLine) -> None:
    code, out, said = muster.run("push-cert", "vendor", "request")

    assert (code, out.startswith("-----BEGIN CERTIFICATE REQUEST-----")) == (0, True)
    assert "muster push-cert vendor upload" in said


def test_request_with_an_unfit_name_is_a_wrong_use(muster: CommandLine) -> None:
    code, _, said = muster.run("push-cert", "request", "--country", "Germany")

    assert code == 2
    assert "two letters" in said


def test_uploaded_push_certificate_is_named_by_topic_and_end(muster: CommandLine, files: PushFiles) -> None:
    arguments = ("push-cert", "upload", "--cert", str(files.certificate), "--key", str(files.key))

    code, out, said = muster.run(*arguments)
    accepted = muster(*arguments)

    assert (code, out.startswith(f"In use for {TOPIC} until 21")) == (0, True)
    assert "not issued by Apple" in said
    assert (accepted["topic"], accepted["change"]) == (TOPIC, "same")


def test_push_certificates_that_do_not_fit_are_refused(muster: CommandLine, files: PushFiles, tmp_path: Path) -> None:
    other = push_files(tmp_path / "other", issuer="Another CA")

    wrong_key = muster.run("push-cert", "upload", "--cert", str(files.certificate), "--key", str(other.key))
    swapped = muster.run("push-cert", "upload", "--cert", str(files.key), "--key", str(files.certificate))
    missing = muster.run("push-cert", "upload", "--cert", str(files.certificate), "--key", "nowhere")
    without = muster.run("push-cert", "upload", "--cert", str(files.certificate))

    assert (wrong_key[0], swapped[0], missing[0], without[0]) == (4, 4, 2, 4)
    assert "the key does not belong to the certificate" in wrong_key[2]
    assert "it holds a private key, and no certificate" in swapped[2]
    assert "nowhere can't be read: No such file or directory" in missing[2]
    assert "answers no request that was made here" in without[2]


def test_endless_file_is_refused_for_its_size(muster: CommandLine) -> None:
    code, _, said = muster.run("push-cert", "upload", "--cert", "/dev/zero")

    assert code == 4
    assert f"it has more than {MAX_FILE_OCTETS} octets" in said


def test_upload_tells_who_gets_nothing_of_it(muster: CommandLine, files: PushFiles, engine: SqliteEngine) -> None:
    fleet.add_push_target(engine, MAC)
    fleet.add_device(engine, "STRAY")
    fleet.add_push_target(engine, "STRAY", topic=TOPIC)
    fleet.add_push_certificate(engine, datetime.now(UTC) + YEAR, at=datetime.now(UTC))

    code, _, said = muster.run("push-cert", "upload", "--cert", str(files.certificate), "--key", str(files.key))

    assert code == 0
    assert said.splitlines()[:3] == [
        "1 enrollment listens to this topic, which had no certificate here, and can be woken now.",
        "1 enrollment listens to another topic, which this certificate can't push: see `muster push-cert list`.",
        "New enrollments get another topic, as before; --replace-topic would give them this one.",
    ]


def test_certificate_of_another_topic_needs_to_be_meant(
    muster: CommandLine, files: PushFiles, engine: SqliteEngine
) -> None:
    fleet.add_push_target(engine, MAC)
    arguments = ("push-cert", "upload", "--cert", str(files.certificate), "--key", str(files.key))

    code, _, refused = muster.run(*arguments)
    accepted_code, _, accepted = muster.run(*arguments, "--replace-topic")

    assert (code, accepted_code) == (4, 0)
    assert f"To {fleet.TOPIC}: C02XK1." in refused
    assert "1 enrollment stays with its topic" in accepted


def test_list_shows_topics_requests_and_the_vendor_certificate(
    muster: CommandLine, files: PushFiles, engine: SqliteEngine, tmp_path: Path
) -> None:
    empty = muster.run("push-cert", "list")[1]
    muster.upload(files)
    fleet.add_push_target(engine, MAC, topic="com.apple.mgmt.foreign")
    muster.run("push-cert", "request")
    hold_vendor_certificate(muster, tmp_path)

    code, out, _ = muster.run("push-cert", "list")
    listed = muster("push-cert", "show")

    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert "muster push-cert request" in empty
    assert code == 0
    assert "in use, for new" in lines[TOPIC]
    assert "missing" in lines["com.apple.mgmt.foreign"]
    assert "Requests that no certificate came for yet:" in out
    assert "MDM vendor certificate" in out
    assert [topic["topic"] for topic in listed["topics"]] == [TOPIC, "com.apple.mgmt.foreign"]
    assert [one["purpose"] for one in listed["pending_requests"]] == ["push"]
