"""Whatever comes to whichever door, the answer is one that devices survive, and nothing of it is our fault."""

import base64
import plistlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.typing import EventDict
from tests.edges.device.doors import CHECKIN_TYPE, CONNECT_TYPE, Doors
from tests.support.site import ADA, IPAD, MAC, Site, authenticate, head, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.protocol.checkin import SetBootstrapToken, encode_checkin
from muster.protocol.connect import Report, encode_report
from muster.protocol.identifiers import SHARED_IPAD_USER_ID, resolve_channel
from muster.protocol.mdm_signature import make_mdm_signature

SURVIVED = {200, 400, 403, 404, 405, 408, 410, 413, 503}
UNLOCK_TOKEN, BOOTSTRAP_TOKEN = b"unlock me if you can", b"bootstrap me if you can"

VALID = [
    encode_report(Report(head())),
    encode_report(Report(head(MAC, "Acknowledged", "one"), answer={"QueryResponses": {"OSVersion": "15.2"}})),
    encode_report(Report(head(ADA, "NotNow", "one"))),
    encode_checkin(authenticate()),
    encode_checkin(token_update(unlock_token=UNLOCK_TOKEN)),
    encode_checkin(token_update(ADA)),
    encode_checkin(SetBootstrapToken(MAC, resolve_channel(MAC), BOOTSTRAP_TOKEN)),
]

_METHODS = st.sampled_from(["PUT", "PUT", "PUT", "POST", "GET", "HEAD", "DELETE", "OPTIONS", "\x00"])
_PATHS = st.sampled_from(["/mdm", "/checkin", "/scep"]) | st.text(max_size=100).map(lambda rest: f"/enroll/{rest}")
_QUERIES = (
    st.just(b"")
    | st.binary(max_size=300)
    | st.binary(max_size=300).map(lambda noise: b"operation=PKIOperation&message=" + noise)
    | st.binary(max_size=300).map(lambda noise: b"operation=PKIOperation&message=" + base64.b64encode(noise))
    | st.sampled_from([b"operation=PKIOperation", b"operation=GetCACert", b"operation=GetCACaps"])
)
_NAMES = st.sampled_from(
    [b"content-type", b"content-length", b"transfer-encoding", b"mdm-signature", b"expect", b"x-forwarded-for", b""]
)
_VALUES = st.binary(max_size=200) | st.sampled_from(
    [CHECKIN_TYPE.encode(), CONNECT_TYPE.encode(), b"99999999999999999999", b"-1", b"chunked", b"100-continue"]
)
_HEADERS = st.lists(st.tuples(_NAMES, _VALUES), max_size=6)

_KEYS = st.sampled_from(
    [
        "UDID",
        "UserID",
        "UserShortName",
        "EnrollmentID",
        "EnrollmentUserID",
        "MessageType",
        "Status",
        "CommandUUID",
        "Topic",
        "Token",
        "PushMagic",
        "UnlockToken",
        "AwaitingConfiguration",
        "BootstrapToken",
        "Endpoint",
        "Data",
        "TokenServiceType",
    ]
)
_WORDS = st.sampled_from(
    [
        "Idle",
        "Acknowledged",
        "Error",
        "NotNow",
        "Authenticate",
        "TokenUpdate",
        "CheckOut",
        "UserAuthenticate",
        "SetBootstrapToken",
        "GetBootstrapToken",
        "GetToken",
        "DeclarativeManagement",
        "ReturnToService",
        "tokens",
    ]
) | st.sampled_from([str(MAC.udid), str(IPAD.udid), str(ADA.user_id), SHARED_IPAD_USER_ID, "\U0001f34e", ""])
_SCALARS = (
    _WORDS | _WORDS | st.text(max_size=20) | st.binary(max_size=40) | st.integers(-(2**63), 2**64 - 1) | st.booleans()
)
_DICTIONARIES = st.dictionaries(_KEYS | st.text(max_size=9), _SCALARS | st.lists(_SCALARS, max_size=3), max_size=9)


def _plist(keys: dict[str, object], *, binary: bool) -> bytes:
    try:
        return plistlib.dumps(keys, fmt=plistlib.FMT_BINARY if binary else plistlib.FMT_XML)
    except ValueError:  # control characters; XML has none
        return b""
    except UnicodeEncodeError:
        return b""


def _mutated(body: bytes, place: int, noise: bytes) -> bytes:
    place %= len(body)
    return body[:place] + noise + body[place + len(noise) // 2 :]


_BODIES = (
    st.binary(max_size=2000)
    | st.sampled_from(VALID)
    | st.builds(_mutated, st.sampled_from(VALID), st.integers(0, 9999), st.binary(max_size=9))
    | st.builds(_plist, _DICTIONARIES, binary=st.booleans())
)


@pytest.fixture
def identities(site: Site) -> list[SignerIdentity]:
    """Of two devices that are enrolled, and of nobody yet."""
    known = [site.enroll(MAC), site.enroll(IPAD), site.identity()]
    site.queue("one")
    return known


def assert_nothing_is_our_fault(logs: list[EventDict]) -> None:
    faults = [entry for entry in logs if "exc_info" in entry or entry["log_level"] in {"error", "critical"}]
    assert faults == []


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_METHODS, _PATHS, _QUERIES, _HEADERS, _BODIES)
def test_noise_at_any_door_is_answered(
    doors: Doors,
    logs: list[EventDict],
    method: str,
    path: str,
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
) -> None:
    reply = doors.ask(method, path, body, headers, query=query)

    assert reply.status in SURVIVED
    assert_nothing_is_our_fault(logs)


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_BODIES, st.integers(0, 2), st.sampled_from([CHECKIN_TYPE, CONNECT_TYPE, None, "text/plain"]))
def test_signed_noise_is_answered_and_leaves_the_device_enrolled(
    doors: Doors,
    site: Site,
    logs: list[EventDict],
    identities: list[SignerIdentity],
    body: bytes,
    speaker: int,
    content_type: str | None,
) -> None:
    reply = doors.put(body, identities[speaker], content_type=content_type)

    assert reply.status in SURVIVED
    assert_nothing_is_our_fault(logs)
    assert site.is_known(MAC)
    assert site.is_known(IPAD)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 9999), st.binary(min_size=1, max_size=4))
def test_signature_with_any_byte_changed_is_refused(
    doors: Doors, site: Site, logs: list[EventDict], identities: list[SignerIdentity], place: int, noise: bytes
) -> None:
    good = base64.b64decode(make_mdm_signature(VALID[1], identities[0]))
    bad = _mutated(good, place, noise)

    reply = doors.put(VALID[1], identities[0], signature=base64.b64encode(bad).decode())

    assert reply.status in {200, 400, 403}
    assert_nothing_is_our_fault(logs)


def test_secrets_are_neither_logged_nor_stored_as_they_are(
    doors: Doors, site: Site, logs: list[EventDict], identities: list[SignerIdentity]
) -> None:
    for body in VALID:
        doors.put(body, identities[0])
        doors.put(body[:-9], identities[0])

    seen = repr(logs) + repr([entry.get("exc_info") for entry in logs])
    for secret in (UNLOCK_TOKEN, BOOTSTRAP_TOKEN):
        assert secret.decode() not in seen
        assert base64.b64encode(secret).decode() not in seen
