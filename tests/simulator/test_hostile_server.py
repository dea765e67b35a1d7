"""Whatever a server sends, a simulated device ends the session in an orderly way."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.play import Play, play

from muster.protocol.command import Command, encode_command
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import CommandUUID
from muster.protocol.plist import PlistValue
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.facts import Platform
from muster.simulator.mdm_requests import Refusal, refusal_in
from muster.simulator.responders import RESPONDERS
from muster.simulator.session import Session
from muster.simulator.signed_profile import unwrap_profile
from muster.simulator.transport import Response

SCALARS: st.SearchStrategy[PlistValue] = st.one_of(
    st.text(string.printable[:95], max_size=8), st.binary(max_size=8), st.integers(-5, 5), st.booleans()
)
VALUES: st.SearchStrategy[PlistValue] = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3).map(list),
    st.dictionaries(st.sampled_from(["Item", "DeviceName"]), SCALARS, max_size=2).map(dict),
)
KEYS = st.dictionaries(
    st.sampled_from(["Queries", "Payload", "Identifier", "Identifiers", "Settings", "PIN", "UnlockToken"]), VALUES
)
COMMANDS = st.builds(
    lambda request_type, keys: encode_command(Command(CommandUUID("1"), request_type, keys)),
    st.sampled_from(sorted(RESPONDERS)),
    KEYS,
)
BODIES = st.one_of(st.binary(max_size=200), COMMANDS)
CONTENT_TYPES = st.sampled_from(["application/json", "application/xml", ""])
REPLIES = st.lists(st.tuples(st.sampled_from([200, 204, 301, 400, 403, 500, 0]), CONTENT_TYPES, BODIES), max_size=8)


@settings(max_examples=40, deadline=None)
@given(REPLIES, st.sampled_from(Platform))
def test_every_session_ends(replies: list[tuple[int, str, bytes]], platform: Platform) -> None:
    async def scene(p: Play) -> Session:
        await p.enroll()
        p.server.script["/mdm"].extend(replies)
        return await p.device.connect()

    assert isinstance(play(scene, platform), Session)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["/enroll", "/scep"]), st.lists(BODIES, min_size=1, max_size=3))
def test_every_enrollment_succeeds_or_fails(path: str, bodies: list[bytes]) -> None:
    async def scene(p: Play) -> bool:
        content_type = "application/x-apple-aspen-config"
        p.server.script[path].extend((200, content_type, body) for body in bodies)
        try:
            await p.enroll()
        except EnrollmentFailed:
            return p.device.enrollment is None
        return p.device.enrollment is not None

    assert play(scene)


@settings(max_examples=100)
@given(st.sampled_from([200, 403]), CONTENT_TYPES, st.binary(max_size=100) | st.text().map(str.encode))
def test_no_noise_makes_a_device_leave(status: int, content_type: str, body: bytes) -> None:
    refusal = refusal_in(Response(status, {"content-type": content_type}, body), is_user_channel=False)

    assert refusal is (Refusal.NONE if status == 200 else Refusal.FAILED)


@settings(max_examples=100)
@given(st.binary(max_size=100).map(lambda tail: b"\x30" + tail))
def test_a_signed_profile_that_is_none_is_malformed(mobileconfig: bytes) -> None:
    with pytest.raises(MalformedMessage):
        unwrap_profile(mobileconfig)
