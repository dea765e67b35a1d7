"""A small site for tests of operations and of the doors: an authority, identities it issued, and what devices say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from tests.support.runner import NOW, InlineRunner
from tests.support.valid_commands import minimal_request

from muster.crypto.certificates import fingerprint
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import Authority, issue_identity, make_authority
from muster.crypto.keys import PrivateKey, generate_ec_key, private_key_der, private_key_pem
from muster.crypto.requests import make_request, read_request
from muster.domain.access import DEVICE, SERVER, Actor, ActorKind, Grant
from muster.domain.enrollment import Enrollment, Provenance
from muster.operations.answer_checkin import AnyCheckin, answer_checkins
from muster.operations.answer_connect import ConnectOutcome, ConnectRequest, answer_connects
from muster.operations.checkin import CheckinOutcome, CheckinRequest
from muster.operations.context import Context
from muster.operations.decode_answers import prepare_answers
from muster.operations.enrollment_links import LinkOrder, NewLink, create_links
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.read_answers import find_answers, read_answers
from muster.protocol.catalogue.commands import find_command
from muster.protocol.checkin import Authenticate, CheckinMessage, TokenUpdate, encode_checkin
from muster.protocol.command import CommandRequest
from muster.protocol.connect import Report, ReportHead, Status, encode_report
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId, Identifiers, resolve_channel
from muster.protocol.plist import PlistValue
from muster.simulator.keys.published import published_keys
from muster.storage import enrollments, identities, installations, schema
from muster.storage.engine import Engine, Transaction
from muster.storage.identities import NewIdentity, StoredAuthority
from muster.storage.installations import Installation
from muster.storage.journal import JournalRecord

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

TOPIC = "com.apple.mgmt.External.test"
MAC = Identifiers(udid="8C6B0E52-0B7A-5E60-9E4B-1F0D2A3C4B5D")
IPAD = Identifiers(udid="00008030-001A2B3C4D5E6F70")
ADA = replace(MAC, user_id="0A1B2C3D-0000-4000-8000-0A1B2C3D4E5F", user_short_name="ada", user_long_name="Ada")
ADMINISTRATOR = Actor(ActorKind.ADMINISTRATOR, "ana")
SOURCE = "198.51.100.7"
NOT_AFTER = NOW + timedelta(days=365)
"""Of every identity."""


@cache
def authority(number: int = 0) -> Authority:
    """The site's authority, or another one that the site knows nothing of."""
    key = published_keys()[-1 - number]
    name = f"Test Authority {number}"
    certificate = make_authority(name, key, now=NOW, lifetime=timedelta(days=3650), serial_number=1 + number)
    return Authority(certificate, key)


@cache
def identity_of(number: int, issuer: int = 0, key: PrivateKey | None = None) -> SignerIdentity:
    """The identity *number* issued by an authority: always the same. Its key is a cheap one (P-256) unless given."""
    key = key or generate_ec_key()
    certificate = issue_identity(
        read_request(make_request(key, common_name=f"device {number}")),
        authority(issuer),
        subject_common_name=f"device {number}",
        not_before=NOW - timedelta(days=1),
        not_after=NOT_AFTER,
        serial_number=1000 + number,
    )
    return SignerIdentity(certificate, key)


def id_of(identifiers: Identifiers) -> ChannelId:
    """The channel's id."""
    return resolve_channel(identifiers).id


def print_of(identity: SignerIdentity) -> bytes:
    """The SHA-256 of the identity's certificate."""
    return fingerprint(identity.certificate_der)


def authenticate(identifiers: Identifiers = MAC, *, serial_number: str | None = "C02XK1LYJGH5") -> Authenticate:
    """What a Mac says first."""
    channel = resolve_channel(identifiers)
    return Authenticate(identifiers, channel, TOPIC, "Ada's Mac", "Mac14,2", serial_number=serial_number)


def token_update(
    identifiers: Identifiers = MAC,
    *,
    token: bytes = b"\x01" * 32,
    push_magic: str = "magic",
    unlock_token: bytes | None = None,
    awaiting_configuration: bool | None = None,
) -> TokenUpdate:
    """What completes an enrollment."""
    channel = resolve_channel(identifiers)
    return TokenUpdate(identifiers, channel, TOPIC, token, push_magic, unlock_token, awaiting_configuration)


def head(identifiers: Identifiers = MAC, status: str = "Idle", command_uuid: str | None = None) -> ReportHead:
    """The head of a report; a status that Apple does not define is passed on."""
    known = Status(status) if status in set(Status) else None
    uuid = None if command_uuid is None else CommandUUID(command_uuid)
    return ReportHead(resolve_channel(identifiers), identifiers, known, status, uuid)


class Site:
    """One installation over *engine* at `runner.time`, without doors."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.runner = InlineRunner(engine)
        self._issued = 0
        engine.write(self._found)

    def _found(self, tx: Transaction) -> None:
        ours = authority()
        name = fingerprint(ours.certificate_der)
        key = private_key_der(ours.key)
        sealed = self.runner.context().seal(key, table="authorities", column="key_sealed", row=name.hex())
        stored = StoredAuthority(name, ours.certificate_der, sealed, is_current=True)
        identities.add_authority(tx, stored, NOW)
        installations.add(tx, Installation("installation", "org.example.enrollment"), NOW)

    # --- time and operations

    @property
    def now(self) -> datetime:
        """What time it is."""
        return self.runner.time

    def wait(self, **parts: float) -> datetime:
        """Let time pass."""
        self.runner.time += timedelta(**parts)
        return self.runner.time

    def do(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], list[Outcome]],
        *items: Item,
        actor: Actor = ADMINISTRATOR,
    ) -> list[Outcome]:
        """Run an operation in one transaction; what it has for the journal is added to the runner's."""
        context = self.runner.context(actor)

        def work(tx: Transaction) -> tuple[list[Outcome], list[JournalRecord]]:
            return operation(tx, items, context), [*tx.journal_first, *tx.to_journal]

        outcomes, to_journal = self.engine.write(work)
        self.runner.journal += to_journal
        return outcomes

    # --- links

    def link(self, order: LinkOrder) -> NewLink:
        """Make an enrollment link, which must be fit."""
        made = self.do(create_links, order)[0]
        assert isinstance(made, NewLink), made
        return made

    # --- identities

    def hold_authority_key(self) -> None:
        """Have the site hold its authority's key sealed, as a real one does, so that operations can issue."""
        ours = authority()
        printed = fingerprint(ours.certificate_der)
        sealed = self.runner.context().seal(
            private_key_pem(ours.key), table="authorities", column="key_sealed", row=printed.hex()
        )
        table = schema.authorities
        statement = sa.update(table).where(table.c.fingerprint == printed).values(key_sealed=sealed)
        self.engine.write(lambda tx: tx.connection.execute(statement))

    def identity(
        self,
        *,
        provenance: Provenance = Provenance.LINK,
        renewal_of: Identifiers | None = None,
        key: PrivateKey | None = None,
    ) -> SignerIdentity:
        """A new identity that the site issued."""
        self._issued += 1
        identity = identity_of(self._issued, key=key)
        renewed = None if renewal_of is None else DeviceId(id_of(renewal_of))

        def store(tx: Transaction) -> None:
            identities.add(
                tx,
                NewIdentity(
                    print_of(identity),
                    identity.certificate_der,
                    fingerprint(authority().certificate_der),
                    Grant(Provenance.RENEWAL if renewed else provenance, renewal_of=renewed),
                    issued_at=self.now,
                    not_after=NOT_AFTER,
                ),
            )

        self.engine.write(store)
        return identity

    # --- what devices say

    def check_in(self, message: CheckinMessage, identity: SignerIdentity) -> CheckinOutcome:
        """Have a device check in."""
        request: AnyCheckin = CheckinRequest(message, print_of(identity), encode_checkin(message), SOURCE, NOT_AFTER)
        return self.do(answer_checkins, request, actor=DEVICE)[0]

    def connect(
        self,
        identity: SignerIdentity,
        identifiers: Identifiers = MAC,
        status: str = "Idle",
        command_uuid: str | None = None,
        *,
        answer: Mapping[str, PlistValue] | None = None,
        body: bytes | None = None,
    ) -> ConnectOutcome:
        """Have a device connect, with a report: *answer* are the command's own keys, *body* what it says instead."""
        asked = head(identifiers, status, command_uuid)
        said = encode_report(Report(asked, answer=answer or {})) if body is None else body
        request = ConnectRequest(asked, print_of(identity), said, SOURCE, NOT_AFTER)
        return self.do(answer_connects, request, actor=DEVICE)[0]

    def answers(
        self,
        identity: SignerIdentity,
        request: CommandRequest,
        answer: Mapping[str, PlistValue] | None = None,
        identifiers: Identifiers = MAC,
        *,
        status: str = "Acknowledged",
    ) -> CommandUUID:
        """Have a device be sent *request* and answer it, and the answer read; returns the command's UUID."""
        order = CommandOrder((id_of(identifiers),), request, anyway=True)
        queued = self.do(queue_commands, order)[0]
        assert isinstance(queued, QueuedCommand), queued
        self.connect(identity, identifiers)
        self.connect(identity, identifiers, status, queued.command_uuid, answer=answer)
        self.read_answers()
        return queued.command_uuid

    def read_answers(self) -> int:
        """Have the answers read that wait; returns how many were."""
        due = self.engine.read(lambda tx: find_answers(tx, self.now))
        prepared = self.engine.read(lambda tx: prepare_answers(tx, due.keys))
        return sum(self.do(read_answers, *prepared, actor=SERVER)) if due.keys else 0

    def enroll(self, identifiers: Identifiers = MAC, identity: SignerIdentity | None = None) -> SignerIdentity:
        """Have a device enroll, with a new identity or a given one."""
        identity = identity or self.identity()
        self.check_in(authenticate(identifiers), identity)
        self.check_in(token_update(identifiers), identity)
        return identity

    def hold_proved(self, identifiers: Identifiers = MAC) -> None:
        """Hold of a channel that it has just obeyed, so that no review asks it anything for a proof of its own."""
        row = schema.channels.c.id == id_of(identifiers)
        just = {"last_contact_at": self.now, "last_proof_at": self.now}
        self.engine.write(lambda tx: tx.connection.execute(sa.update(schema.channels).where(row).values(just)))

    def queue(
        self,
        command_uuid: str,
        identifiers: Identifiers = MAC,
        *,
        request_type: str = "DeviceInformation",
        priority: int = 0,
    ) -> QueuedCommand:
        """Queue a command on one channel, with the least keys that it needs, whether or not it is for that channel."""
        command = find_command(request_type)
        request = CommandRequest(request_type) if command is None else minimal_request(command)
        if request_type == "DeviceInformation":
            request = CommandRequest(request_type, {"Queries": [command_uuid]})  # none covers another
        order = CommandOrder((id_of(identifiers),), request, priority, CommandUUID(command_uuid), anyway=True)
        outcome = self.do(queue_commands, order)[0]
        assert isinstance(outcome, QueuedCommand), outcome
        return outcome

    # --- what is stored

    def rows(self, select: sa.Select[Any]) -> list[tuple[Any, ...]]:
        """Rows as stored."""
        return [tuple(row) for row in self.engine.read(lambda tx: tx.connection.execute(select).all())]

    def enrollment(self, identifiers: Identifiers = MAC) -> Enrollment:
        """The enrollment of a channel, which is stored."""
        channel_id = id_of(identifiers)
        return self.engine.read(lambda tx: enrollments.find(tx, [channel_id]))[channel_id]

    def is_known(self, identifiers: Identifiers = MAC) -> bool:
        """Whether the channel is stored."""
        channel_id = id_of(identifiers)
        return channel_id in self.engine.read(lambda tx: enrollments.find(tx, [channel_id]))

    def evidence(self, identifiers: Identifiers = MAC) -> list[tuple[str, str, int]]:
        """Signal, class and count of a channel's evidence, by time, those of one moment by name."""
        table = schema.evidence
        select = sa.select(table.c.signal, table.c.observed_class, table.c.count)
        return self.rows(
            select.where(table.c.channel_id == id_of(identifiers)).order_by(
                table.c.first_at, table.c.signal, table.c.observed_class
            )
        )

    def rumours(self) -> list[tuple[str, str, int]]:
        """Claimed id, code and count of what nobody vouches for, sorted."""
        table = schema.rumours
        select = sa.select(table.c.claimed_id, table.c.refusal_code, table.c.count)
        return sorted(self.rows(select))

    def queued(self, identifiers: Identifiers = MAC) -> list[str]:
        """UUIDs of the commands that wait on a channel."""
        table = schema.queue
        select = sa.select(table.c.command_uuid).where(table.c.channel_id == id_of(identifiers))
        return [uuid for (uuid,) in self.rows(select.order_by(table.c.rank, table.c.position))]

    def reports(self, identifiers: Identifiers = MAC) -> list[tuple[str, str]]:
        """UUID and status of every report of a channel, in order."""
        table = schema.reports
        select = sa.select(table.c.command_uuid, table.c.status).where(table.c.channel_id == id_of(identifiers))
        return self.rows(select.order_by(table.c.reported_at, table.c.command_uuid))

    def wish(self, identifiers: Identifiers = MAC) -> tuple[str, datetime, int] | None:
        """Reason, due time and attempts of a channel's wish to be pushed; None when there is none."""
        table = schema.push_wishes
        select = sa.select(table.c.reason, table.c.due_at, table.c.attempts)
        found = self.rows(select.where(table.c.channel_id == id_of(identifiers)))
        return found[0] if found else None
