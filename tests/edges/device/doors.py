"""The doors for devices over a site, and a client that sends them anything, byte by byte if need be."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.support.authorities import certified, ec_keys
from tests.support.runner import InlineRunner
from tests.support.site import MAC, Site, authority, head

from muster.bootstrap.ways_in import make_ways_in
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import Authority
from muster.edges.device.application import DeviceApplication
from muster.edges.device.bearers import BearerWatch
from muster.edges.device.http import BodyReader, Receive, Scope, Send
from muster.edges.device.messages import MessageDoor
from muster.edges.device.presented import MessagePolicy
from muster.edges.device.refusals import RefusalRecorder
from muster.edges.device.scep import ScepDoor
from muster.edges.device.tally import Tally
from muster.operations.enrollment_profiles import EnrollmentTerms
from muster.protocol.checkin import CheckinMessage, encode_checkin
from muster.protocol.connect import Report, encode_report
from muster.protocol.identifiers import DeviceId, Identifiers
from muster.protocol.mdm_signature import make_mdm_signature
from muster.protocol.plist import PlistValue
from muster.protocol.profile_signature import ProfileSigner
from muster.simulator.keys.published import published_keys
from muster.storage.engine import Transaction
from muster.storage.journal import JournalPosition, JournalRecord

T = TypeVar("T")

TERMS = EnrollmentTerms("https://mdm.example.org", None, "Example")
DEVICE_ROOT = certified("Test Root", ec_keys()[0], is_ca=True)
DEVICE_CA = certified("Test Device CA", ec_keys()[1], DEVICE_ROOT, is_ca=True)
"""Who vouches for devices, in place of Apple."""
CLIENT = ("203.0.113.9", 40000)
CHECKIN_TYPE = "application/x-apple-aspen-mdm-checkin"
CONNECT_TYPE = "application/x-apple-aspen-mdm; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the client got. *bytes_taken* is how much of the body the application asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    bytes_taken: int


@dataclass(slots=True)
class _Exchange:
    """One request on its way; *parts* of the body are handed over as they are asked for, then the client hangs up."""

    parts: AsyncIterator[tuple[bytes, bool]]
    bytes_taken: int = 0
    sent: list[MutableMapping[str, Any]] = field(default_factory=list)

    async def receive(self) -> MutableMapping[str, Any]:
        async for part, is_more in self.parts:
            self.bytes_taken += len(part)
            return {"type": "http.request", "body": part, "more_body": is_more}
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)

    def reply(self) -> Reply:
        start, *rest = self.sent
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        body = b"".join(message["body"] for message in rest)
        assert headers["content-length"] == str(len(body))
        return Reply(start["status"], headers, body, self.bytes_taken)


async def _whole(body: bytes) -> AsyncIterator[tuple[bytes, bool]]:
    yield body, False


async def _pieces(pieces: Iterable[bytes]) -> AsyncIterator[tuple[bytes, bool]]:
    for piece in pieces:
        yield piece, True
    yield b"", False


class Lookups(InlineRunner):
    """The site's runner once more, which counts its reads."""

    def __init__(self, runner: InlineRunner) -> None:
        super().__init__(runner.engine)
        self.reads = 0

    async def read(self, view: Callable[[Transaction], T]) -> T:
        """Run *view*, and count it."""
        self.reads += 1
        return await super().read(view)


class Doors:
    """The doors over *site*, on an event loop of their own. Every request is answered and its refusal recorded."""

    def __init__(
        self,
        site: Site,
        *,
        allow_legacy: bool = False,
        seek: Callable[[DeviceId, bytes], bool] = lambda device_id, identity: False,  # noqa: ARG005 - nobody is sought
        adopted_der: tuple[bytes, ...] = (),
    ) -> None:
        self.site = site
        self.journal: list[JournalRecord] = []
        self.journal_error: Exception | None = None
        self.policy = MessagePolicy(allow_legacy, (authority().certificate_der,))
        self.recorder = RefusalRecorder(site.runner)
        self.tally = Tally(site.runner.now)
        self.bodies = BodyReader()
        self.lookups = Lookups(site.runner)
        ours = authority()
        self.authorities: tuple[Authority, ...] = (ours,)
        self.looked_again = 0
        self.password_keys: dict[str, str] = {}
        self.look_again: Callable[[], Awaitable[None]] = _nothing_new
        signer = ProfileSigner(SignerIdentity(ours.certificate_der, ours.key))
        self.app = DeviceApplication(
            messages=MessageDoor(
                connects=site.runner,
                checkins=site.runner,
                lookups=self.lookups,
                journal=self._write_journal,
                recorder=self.recorder,
                policy=lambda: self.policy,
                bodies=self.bodies,
                bearers=BearerWatch(site.runner),
                directory=self,
                tally=self.tally,
                seek=seek,
                adopted_der=adopted_der,
            ),
            scep=ScepDoor(
                runner=site.runner,
                authorities=lambda: self.authorities,
                look_again=self._look_again,
                organization="Example",
                policy=lambda: self.policy,
                recorder=self.recorder,
                bodies=self.bodies,
                random_bytes=site.runner.random_bytes,
            ),
            ways_in=make_ways_in(
                runner=site.runner,
                terms=TERMS,
                signer=signer,
                roots=(DEVICE_ROOT.certificate_der,),
                policy=lambda: self.policy,
                new_rsa_key=lambda _: published_keys()[0],
                recorder=self.recorder,
                bodies=self.bodies,
            ),
            recorder=self.recorder,
            others=_nothing_here,
            tally=self.tally,
        )
        self._loop = asyncio.Runner()

    def close(self) -> None:
        """End the loop."""
        self._loop.close()

    async def find_key(self, user_name: str) -> str | None:
        """Be the directory of network users: it has those of `password_keys`."""
        return self.password_keys.get(user_name)

    async def _look_again(self) -> None:
        self.looked_again += 1
        await self.look_again()

    async def _write_journal(self, records: Sequence[JournalRecord]) -> JournalPosition:
        if self.journal_error is not None:
            raise self.journal_error
        self.journal += records
        return JournalPosition("2026-11-22.doors.journal", len(self.journal))

    # --- requests

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | Sequence[tuple[bytes, bytes]] = (),
        *,
        query: bytes = b"",
        pieces: Iterable[bytes] | None = None,
        declared: int | None = None,
        extensions: Mapping[str, object] | None = None,
    ) -> Reply:
        """Make one request. With *pieces* the body comes in chunks, without a length unless it is *declared*.
        *extensions* are what the server knows of the connection."""
        pairs = list(headers) if not isinstance(headers, Mapping) else _encoded(headers)
        length = declared if declared is not None else (len(body) if pieces is None and body else None)
        if length is not None:
            pairs.append((b"content-length", str(length).encode()))
        elif pieces is not None:
            pairs.append((b"transfer-encoding", b"chunked"))
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query,
            "headers": pairs,
            "client": CLIENT,
        }
        if extensions is not None:
            scope["extensions"] = extensions
        exchange = _Exchange(_whole(body) if pieces is None else _pieces(pieces))

        async def answer() -> Reply:
            async with asyncio.timeout(60):
                await self.app(scope, exchange.receive, exchange.send)
                await self.app.drain()
            return exchange.reply()

        return self._loop.run(answer())

    def put(
        self,
        body: bytes,
        identity: SignerIdentity,
        *,
        content_type: str | None = None,
        path: str = "/mdm",
        signature: str | None = None,
    ) -> Reply:
        """PUT a body as a device does, signed by *identity* unless a *signature* is given."""
        headers = {"mdm-signature": signature if signature is not None else make_mdm_signature(body, identity)}
        if content_type is not None:
            headers["content-type"] = content_type
        return self.ask("PUT", path, body, headers)

    def check_in(self, message: CheckinMessage, identity: SignerIdentity) -> Reply:
        """Have a device check in."""
        return self.put(encode_checkin(message), identity, content_type=CHECKIN_TYPE)

    def connect(
        self,
        identity: SignerIdentity,
        identifiers: Identifiers = MAC,
        status: str = "Idle",
        command_uuid: str | None = None,
        answer: Mapping[str, PlistValue] | None = None,
    ) -> Reply:
        """Have a device connect, with a report."""
        body = encode_report(Report(head(identifiers, status, command_uuid), answer=answer or {}))
        return self.put(body, identity, content_type=CONNECT_TYPE)


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for everything else that a server answers."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _nothing_new() -> None:
    """What looking at the authorities again finds, unless the test says otherwise."""
