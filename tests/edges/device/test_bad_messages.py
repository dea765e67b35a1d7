"""Everything wrong that can be sent to the door of check-ins and connects.

Each is refused with a status that devices survive, is recorded - as evidence of a device only where its identity signed
it, else as a rumour - and takes nothing from the device that is enrolled meanwhile.
"""

import plistlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from structlog.typing import EventDict
from tests.edges.device.doors import CHECKIN_TYPE, CONNECT_TYPE, Doors, Reply
from tests.support.instants import NOON
from tests.support.site import (
    ADA,
    IPAD,
    MAC,
    Site,
    authenticate,
    head,
    id_of,
    identity_of,
    print_of,
    token_update,
)

from muster.crypto.algorithms import Digest
from muster.crypto.cms.signing import SignerIdentity
from muster.edges.device.messages import MAXIMUM_BODY_BYTES
from muster.protocol.checkin import CheckinMessage, GetToken, SetBootstrapToken, encode_checkin
from muster.protocol.connect import Report, encode_report
from muster.protocol.identifiers import Identifiers, resolve_channel
from muster.protocol.mdm_signature import MAX_HEADER_BYTES, make_mdm_signature

IDLE = encode_report(Report(head()))
XML = b'<?xml version="1.0" encoding="UTF-8"?>'


@dataclass
class Scene:
    """Two enrolled devices, the first of which has a command waiting."""

    doors: Doors
    site: Site
    mac: SignerIdentity
    ipad: SignerIdentity

    def put(self, body: bytes, identity: SignerIdentity | None = None, content_type: str | None = None) -> Reply:
        """Signed by the Mac unless said otherwise."""
        return self.doors.put(body, identity or self.mac, content_type=content_type)

    def check_in(self, **keys: object) -> Reply:
        """A check-in of the Mac with any keys."""
        return self.put(plistlib.dumps({"UDID": MAC.udid} | keys), content_type=CHECKIN_TYPE)

    def report(self, **keys: object) -> Reply:
        """A report of the Mac with any keys."""
        return self.put(plistlib.dumps({"UDID": MAC.udid} | keys), content_type=CONNECT_TYPE)

    def state(self) -> tuple[object, ...]:
        """What must not change by anything that is refused."""
        return (
            self.site.enrollment(MAC),
            self.site.enrollment(IPAD),
            self.site.queued(),
            self.site.reports(),
            self.site.reports(IPAD),
        )


@pytest.fixture
def scene(doors: Doors, site: Site) -> Scene:
    scene = Scene(doors, site, site.enroll(MAC), site.enroll(IPAD))
    site.queue("waiting")
    return scene


def billion_laughs() -> bytes:
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    return XML + f'<!DOCTYPE plist [<!ENTITY e0 "lol">{entities}]><plist><dict>&e9;</dict></plist>'.encode()


def nested(depth: int, container: bytes = b"array") -> bytes:
    return (
        XML
        + b"<plist><dict><key>UDID</key><string>A</string><key>Deep</key>"
        + b"<%b>" % container * depth
        + b"</%b>" % container * depth
        + b"</dict></plist>"
    )


def shared_references() -> bytes:
    """A binary property list that is small and means terabytes: each array holds the next one many times."""
    objects = [b"\xd1\x01\x02", b"\x54Deep"]  # a dictionary of one key
    objects += [b"\xaf\x10\x40" + bytes([number + 3]) * 64 for number in range(16)]
    objects.append(b"\x50")
    data, offsets = b"bplist00", []
    for one in objects:
        offsets.append(len(data))
        data += one
    table = b"".join(offset.to_bytes(2) for offset in offsets)
    trailer = bytes(6) + b"\x02\x01" + len(objects).to_bytes(8) + bytes(8) + len(data).to_bytes(8)
    return data + table + trailer


def self_reference() -> bytes:
    objects = [b"\xd1\x01\x00", b"\x54Deep"]
    table = bytes([8, 8 + len(objects[0])])
    body = b"bplist00" + b"".join(objects)
    return body + table + bytes(6) + b"\x01\x01" + (2).to_bytes(8) + bytes(8) + len(body).to_bytes(8)


MALFORMED: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("not-a-plist", b"hello"),
    ("json", b'{"UDID": "A", "Status": "Idle"}'),
    ("html", b"<html><body>Captive portal</body></html>"),
    ("cut-off", IDLE[:-20]),
    ("something-behind", IDLE + b"<!---->x"),
    ("twice", IDLE + IDLE),
    ("billion-laughs", billion_laughs()),
    ("external-entity", XML + b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><plist><dict>&x;</dict></plist>'),
    ("entity-in-string", IDLE.replace(b"Idle", b"&lol;")),
    ("nested-arrays", nested(100_000)),
    ("nested-dictionaries", nested(50_000, b"dict")),
    ("nul-in-udid", IDLE.replace(id_of(MAC).encode(), b"A\x00B")),
    ("nul-in-udid-by-number", IDLE.replace(id_of(MAC).encode(), b"A&#0;B")),
    ("surrogate-by-number", IDLE.replace(b"Idle", b"&#xD800;")),
    ("latin-1", IDLE.replace(b"Idle", b"\xfcdle")),
    ("utf-16", IDLE.decode().replace("UTF-8", "UTF-16").encode("utf-16")),
    ("array-at-the-root", plistlib.dumps([1, 2, 3])),
    ("string-at-the-root", plistlib.dumps("Idle")),
    ("key-twice", IDLE.replace(b"<key>Status</key>", b"<key>UDID</key><string>B</string><key>Status</key>")),
    ("binary-cut-off", plistlib.dumps({"UDID": "A", "Status": "Idle"}, fmt=plistlib.FMT_BINARY)[:-9]),
    ("binary-of-nothing", b"bplist00"),
    ("binary-bomb", shared_references()),
    ("binary-that-holds-itself", self_reference()),
    ("binary-of-zeros", b"bplist00" + bytes(1000)),
    ("neither-message-nor-status", plistlib.dumps({"UDID": MAC.udid})),
]

WRONG_CHECKINS: list[tuple[str, dict[str, object], str]] = [
    ("no-message-type", {"Topic": "t"}, "body_malformed"),
    ("empty-message-type", {"MessageType": ""}, "body_malformed"),
    ("message-type-no-text", {"MessageType": 7}, "body_malformed"),
    ("unknown-message-type", {"MessageType": "Frobnicate"}, "message_unknown"),
    ("message-type-in-small-letters", {"MessageType": "authenticate"}, "message_unknown"),
    ("long-message-type", {"MessageType": "A" * 65}, "body_malformed"),
    ("authenticate-without-topic", {"MessageType": "Authenticate"}, "body_malformed"),
    ("topic-is-data", {"MessageType": "Authenticate", "Topic": b"t"}, "body_malformed"),
    ("udid-is-a-number", {"MessageType": "Authenticate", "Topic": "t", "UDID": 5}, "body_malformed"),
    ("udid-is-too-long", {"MessageType": "Authenticate", "Topic": "t", "UDID": "A" * 129}, "body_malformed"),
    ("udid-with-colon", {"MessageType": "Authenticate", "Topic": "t", "UDID": "A:B"}, "body_malformed"),
    ("udid-with-newline", {"MessageType": "Authenticate", "Topic": "t", "UDID": "A\nB"}, "body_malformed"),
    ("udid-is-empty", {"MessageType": "Authenticate", "Topic": "t", "UDID": ""}, "body_malformed"),
    ("token-update-without-token", {"MessageType": "TokenUpdate", "Topic": "t", "PushMagic": "m"}, "body_malformed"),
    (
        "empty-token",
        {"MessageType": "TokenUpdate", "Topic": "t", "PushMagic": "m", "Token": b""},
        "body_malformed",
    ),
    (
        "token-is-text",
        {"MessageType": "TokenUpdate", "Topic": "t", "PushMagic": "m", "Token": "00"},
        "body_malformed",
    ),
    (
        "token-too-long",
        {"MessageType": "TokenUpdate", "Topic": "t", "PushMagic": "m", "Token": bytes(257)},
        "body_malformed",
    ),
    (
        "unlock-token-too-long",
        {"MessageType": "TokenUpdate", "Topic": "t", "PushMagic": "m", "Token": b"t", "UnlockToken": bytes(65537)},
        "body_malformed",
    ),
    (
        "awaiting-is-a-date",
        {
            "MessageType": "TokenUpdate",
            "Topic": "t",
            "PushMagic": "m",
            "Token": b"t",
            "AwaitingConfiguration": NOON.replace(tzinfo=None),
        },
        "body_malformed",
    ),
    ("bootstrap-token-is-text", {"MessageType": "SetBootstrapToken", "BootstrapToken": "secret"}, "body_malformed"),
    ("authenticate-of-a-user", {"MessageType": "Authenticate", "Topic": "t", "UserID": "U"}, "body_malformed"),
    ("user-authenticate-of-a-device", {"MessageType": "UserAuthenticate"}, "body_malformed"),
    ("user-of-the-wrong-family", {"MessageType": "TokenUpdate", "EnrollmentUserID": "U"}, "body_malformed"),
    (
        "shared-ipad-without-name",
        {"MessageType": "TokenUpdate", "UserID": "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"},
        "body_malformed",
    ),
    ("no-token-service", {"MessageType": "GetToken"}, "body_malformed"),
]

WRONG_REPORTS: list[tuple[str, dict[str, object]]] = [
    ("no-status", {"CommandUUID": "waiting"}),
    ("empty-status", {"Status": "", "CommandUUID": "waiting"}),
    ("status-is-a-number", {"Status": 1, "CommandUUID": "waiting"}),
    ("status-is-a-dictionary", {"Status": {"Idle": True}}),
    ("status-is-too-long", {"Status": "A" * 65}),
    ("command-uuid-is-a-number", {"Status": "Acknowledged", "CommandUUID": 7}),
    ("command-uuid-is-too-long", {"Status": "Acknowledged", "CommandUUID": "A" * 256}),
    ("no-udid", {"Status": "Idle", "UDID": ""}),
    ("udid-is-an-array", {"Status": "Idle", "UDID": ["A"]}),
]


@pytest.mark.parametrize("content_type", [CHECKIN_TYPE, CONNECT_TYPE, None], ids=["check-in", "connect", "neither"])
@pytest.mark.parametrize("body", [body for _, body in MALFORMED], ids=[name for name, _ in MALFORMED])
def test_body_that_is_no_message_is_refused_as_evidence_of_who_signed_it(
    scene: Scene, body: bytes, content_type: str | None
) -> None:
    before = scene.state()

    reply = scene.put(body, content_type=content_type)

    assert (reply.status, scene.state()) == (400, before)
    assert ("S2", "body_malformed", 1) in scene.site.evidence()
    assert scene.site.rumours() == []


@pytest.mark.parametrize(("name", "keys", "code"), WRONG_CHECKINS, ids=[case[0] for case in WRONG_CHECKINS])
def test_check_in_with_wrong_keys_is_refused(scene: Scene, name: str, keys: dict[str, object], code: str) -> None:
    before = scene.state()

    reply = scene.check_in(**keys)

    assert (reply.status, scene.state()) == (400, before)
    assert ("S2", code, 1) in scene.site.evidence()
    assert scene.doors.journal == []


@pytest.mark.parametrize(("name", "keys"), WRONG_REPORTS, ids=[case[0] for case in WRONG_REPORTS])
def test_report_with_wrong_keys_is_refused(scene: Scene, name: str, keys: dict[str, object]) -> None:
    before = scene.state()

    reply = scene.report(**keys)

    assert (reply.status, scene.state()) == (400, before)
    assert ("S2", "body_malformed", 1) in scene.site.evidence()


# Signatures


def stranger() -> SignerIdentity:
    """Somebody of another authority."""
    return identity_of(1, 1)


def altered(signature: str) -> str:
    middle = len(signature) // 2
    return signature[:middle] + ("A" if signature[middle] != "A" else "B") + signature[middle + 1 :]


SIGNATURES: list[tuple[str, Callable[[Scene], str], str]] = [
    ("empty", lambda _: "", "signature_bad"),
    ("garbage", lambda _: "!!!not base64!!!", "signature_bad"),
    ("base64-of-garbage", lambda _: "Z2FyYmFnZQ==", "signature_bad"),
    ("beyond-ascii", lambda _: "\xff\xfe", "signature_bad"),
    ("zeros", lambda _: "A" * 4000, "signature_bad"),
    ("too-long", lambda _: "A" * (MAX_HEADER_BYTES + 1), "signature_bad"),
    ("cut-off", lambda scene: make_mdm_signature(IDLE, scene.mac)[:-40], "signature_bad"),
    ("over-another-body", lambda scene: make_mdm_signature(IDLE + b" ", scene.mac), "signature_bad"),
    ("over-nothing", lambda scene: make_mdm_signature(b"", scene.mac), "signature_bad"),
    ("twice", lambda scene: make_mdm_signature(IDLE, scene.mac) * 2, "signature_bad"),
    ("sha-1", lambda scene: make_mdm_signature(IDLE, scene.mac, digest=Digest.SHA1), "algorithm_refused"),
]


@pytest.mark.parametrize(("name", "sign", "code"), SIGNATURES, ids=[case[0] for case in SIGNATURES])
def test_signature_that_does_not_hold_is_refused_and_is_a_rumour(
    scene: Scene, name: str, sign: Callable[[Scene], str], code: str
) -> None:
    before, evidence = scene.state(), scene.site.evidence()

    reply = scene.doors.put(IDLE, scene.mac, signature=sign(scene))

    assert (reply.status, scene.state()) == (400, before)
    assert scene.site.evidence() == evidence
    assert scene.site.rumours() == [(id_of(MAC), code, 1)]


def test_signature_with_one_letter_changed_is_refused(scene: Scene) -> None:
    before = scene.state()

    reply = scene.doors.put(IDLE, scene.mac, signature=altered(make_mdm_signature(IDLE, scene.mac)))

    # 403 when the letter is one of the certificate's: the signature holds, but under a certificate nobody pinned
    assert reply.status in {400, 403}
    assert scene.state() == before


@pytest.mark.parametrize(("body", "claimed"), [(IDLE, id_of(MAC)), (b"", ""), (b"x" * 1000, ""), (nested(99_999), "")])
def test_missing_signature_is_refused_and_says_who_lost_it(scene: Scene, body: bytes, claimed: str) -> None:
    before = scene.state()

    reply = scene.doors.ask("PUT", "/mdm", body, {"content-type": CONNECT_TYPE})

    assert (reply.status, scene.state()) == (403, before)
    assert scene.site.rumours() == [(claimed, "signature_missing", 1)]


def test_first_of_two_signatures_counts(scene: Scene) -> None:
    good = make_mdm_signature(IDLE, scene.mac).encode()

    reply = scene.doors.ask("PUT", "/mdm", IDLE, [(b"mdm-signature", b"bad"), (b"mdm-signature", good)])

    assert reply.status == 400


# Other people's certificates


@pytest.mark.parametrize(
    ("name", "identity", "code", "is_evidence_of_the_ipad"),
    [
        ("another-devices", lambda scene: scene.ipad, "identity_of_another_device", True),
        ("of-another-authority", lambda _: stranger(), "identity_unknown", False),
        ("ours-but-unpinned", lambda scene: scene.site.identity(), "identity_not_pinned", False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_report_under_another_identity_is_refused(
    scene: Scene,
    name: str,
    identity: Callable[[Scene], SignerIdentity],
    code: str,
    *,
    is_evidence_of_the_ipad: bool,
) -> None:
    before, evidence = scene.state(), scene.site.evidence()

    reply = scene.doors.connect(identity(scene), MAC, "Acknowledged", "waiting")

    assert (reply.status, scene.state()) == (403, before)
    assert scene.site.evidence() == evidence
    assert (("S2", code, 1) in scene.site.evidence(IPAD)) is is_evidence_of_the_ipad
    assert (scene.site.rumours() == [(id_of(MAC), code, 1)]) is not is_evidence_of_the_ipad


MESSAGES: list[CheckinMessage] = [
    authenticate(),
    token_update(token=b"\x66" * 32),
    SetBootstrapToken(MAC, resolve_channel(MAC), b"theirs"),
    token_update(ADA),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_check_in_under_another_devices_identity_is_refused(scene: Scene, message: CheckinMessage) -> None:
    before = scene.state()

    reply = scene.doors.check_in(message, scene.ipad)

    assert (reply.status, scene.state()) == (403, before)
    assert not scene.site.is_known(ADA)
    assert [row for row in scene.site.evidence(IPAD) if row[0] == "S2"] != []


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_check_in_under_another_authoritys_identity_is_refused_and_not_journaled(
    scene: Scene, message: CheckinMessage
) -> None:
    before = scene.state()

    reply = scene.doors.check_in(message, stranger())

    assert (reply.status, scene.state(), scene.doors.journal) == (403, before, [])
    assert [code for _, code, _ in scene.site.rumours()] == ["identity_unknown"]


def test_former_identity_is_refused_after_a_re_enrollment(scene: Scene) -> None:
    scene.site.enroll(MAC)

    assert scene.doors.connect(scene.mac).status == 403
    assert ("S2", "identity_of_earlier_life", 1) in scene.site.evidence()


def test_refused_report_is_logged_with_its_channel_and_command(scene: Scene, logs: list[EventDict]) -> None:
    scene.doors.connect(scene.ipad, status="Acknowledged", command_uuid="one")

    (line,) = [line for line in logs if line["event"] == "refused"]
    assert (line["code"], line["enrollment_id"], line["command_uuid"]) == (
        "identity_of_another_device",
        MAC.udid,
        "one",
    )


# Messages at the wrong time or place


def test_idle_of_an_unknown_device_is_refused_and_recorded_under_who_signed(scene: Scene) -> None:
    unheard_of = encode_report(Report(head(ADA)))

    by_nobody = scene.put(unheard_of, scene.site.identity())
    by_the_mac = scene.put(unheard_of, scene.mac)

    assert (by_nobody.status, by_the_mac.status) == (403, 403)
    assert scene.site.rumours() == [(id_of(ADA), "channel_unknown", 1)]
    assert ("S2", "channel_unknown", 1) in scene.site.evidence()


def test_report_for_an_unknown_command_is_accepted_recorded_and_brings_the_next(scene: Scene) -> None:
    reply = scene.doors.connect(scene.mac, MAC, "Acknowledged", "nobody's")

    assert reply.status == 200
    assert b"waiting" in reply.body
    assert scene.site.reports() == [("nobody's", "Acknowledged")]
    assert ("S5", "unknown_command", 1) in scene.site.evidence()


def test_answer_to_another_devices_command_leaves_that_waiting(scene: Scene) -> None:
    reply = scene.doors.connect(scene.ipad, IPAD, "Acknowledged", "waiting")

    assert (reply.status, reply.body) == (200, b"")
    assert scene.site.queued() == ["waiting"]


def test_same_answer_twice_is_accepted_and_changes_nothing(scene: Scene) -> None:
    scene.doors.connect(scene.mac, MAC, "Error", "waiting")
    before = (scene.state(), scene.site.evidence())

    reply = scene.doors.connect(scene.mac, MAC, "Error", "waiting")

    assert (reply.status, reply.body) == (200, b"")
    assert (scene.state(), scene.site.evidence()) == before


def test_undefined_status_is_accepted_and_keeps_the_command(scene: Scene) -> None:
    reply = scene.doors.connect(scene.mac, MAC, "Pondering", "waiting")

    assert reply.status == 200
    assert scene.site.queued() == ["waiting"]


@pytest.mark.parametrize("status", ["CommandFormatError", "Acknowledged", "Error", "NotNow"])
def test_report_without_a_command_uuid_is_accepted_and_answers_nothing(scene: Scene, status: str) -> None:
    reply = scene.doors.connect(scene.mac, MAC, status)

    assert reply.status == 200
    assert scene.site.queued() == ["waiting"]


def test_unknown_token_service_is_a_bad_request(scene: Scene) -> None:
    reply = scene.doors.check_in(GetToken(MAC, resolve_channel(MAC), "com.apple.unheard-of"), scene.mac)

    assert reply.status == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/mdm", "/checkin"])
def test_other_methods_are_told_which_to_use(scene: Scene, method: str, path: str) -> None:
    before = scene.state()

    reply = scene.doors.ask(method, path, IDLE, {"mdm-signature": make_mdm_signature(IDLE, scene.mac)})

    assert (reply.status, reply.headers["allow"], scene.state()) == (405, "PUT, POST", before)


@pytest.mark.parametrize("path", ["/mdm/", "/MDM", "//mdm", "/mdm/../mdm", "/checkin/x", "", "*"])
def test_other_paths_are_no_doors_for_devices(scene: Scene, path: str) -> None:
    reply = scene.doors.ask("PUT", path, IDLE, {"mdm-signature": make_mdm_signature(IDLE, scene.mac)})

    assert reply.status == 404


# Sizes


@pytest.mark.parametrize("is_signed", [True, False])
def test_body_declared_too_large_is_refused_before_its_first_byte(scene: Scene, *, is_signed: bool) -> None:
    headers = {"mdm-signature": make_mdm_signature(IDLE, scene.mac)} if is_signed else {}

    reply = scene.doors.ask("PUT", "/mdm", headers=headers, pieces=[IDLE] * 10, declared=100 * 1024 * 1024)

    assert (reply.status, reply.bytes_taken) == ((413 if is_signed else 403), 0)
    assert reply.headers["connection"] == "close"
    assert scene.site.rumours() == [("", "body_too_large" if is_signed else "signature_missing", 1)]


def test_one_byte_above_sixteen_megabytes_is_too_large(scene: Scene) -> None:
    body = IDLE + b" " * (MAXIMUM_BODY_BYTES + 1 - len(IDLE))

    reply = scene.put(body, content_type=CONNECT_TYPE)

    assert (reply.status, reply.bytes_taken) == (413, 0)


def test_body_in_chunks_is_read_no_further_than_its_limit(scene: Scene) -> None:
    megabyte = b" " * 1024 * 1024
    headers = {"mdm-signature": make_mdm_signature(IDLE, scene.mac)}

    reply = scene.doors.ask("PUT", "/mdm", headers=headers, pieces=[megabyte] * 100)

    assert reply.status == 413
    assert reply.bytes_taken == MAXIMUM_BODY_BYTES + len(megabyte)
    assert reply.headers["connection"] == "close"


def test_body_in_chunks_without_a_signature_is_read_no_further_than_it_takes_to_know_its_sender(scene: Scene) -> None:
    chunk = b" " * 64 * 1024

    reply = scene.doors.ask("PUT", "/mdm", pieces=[chunk] * 1000)

    assert reply.status == 403
    assert reply.bytes_taken < 6 * len(chunk)


def test_body_that_is_shorter_than_declared_is_no_message(scene: Scene) -> None:
    before = scene.state()
    headers = {"mdm-signature": make_mdm_signature(IDLE, scene.mac)}

    reply = scene.doors.ask("PUT", "/mdm", headers=headers, pieces=[IDLE[:50]], declared=len(IDLE))

    assert (reply.status, scene.state()) == (400, before)


def test_refused_messages_of_one_kind_are_counted_not_kept_one_by_one(scene: Scene) -> None:
    for _ in range(5):
        scene.put(b"hello")
        scene.doors.put(IDLE, scene.mac, signature="bad")

    assert ("S2", "body_malformed", 5) in scene.site.evidence()
    assert scene.site.rumours() == [(id_of(MAC), "signature_bad", 5)]


def test_signed_authenticate_of_a_clone_is_refused_with_evidence(scene: Scene) -> None:
    clone = Identifiers(udid="00000000-0000-0000-0000-00000000CAFE")

    reply = scene.put(encode_checkin(authenticate(clone)), scene.mac, CHECKIN_TYPE)

    assert reply.status == 403
    assert not scene.site.is_known(clone)
    assert ("S2", "identity_of_another_device", 1) in scene.site.evidence()
    assert print_of(scene.mac) == scene.site.enrollment().pins.current
