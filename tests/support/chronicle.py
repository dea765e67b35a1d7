"""A site whose check-ins and identities are journaled, and another that is told of them afterwards."""

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from tests.support.site import NOT_AFTER, SOURCE, Site, authenticate, print_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.access import DEVICE
from muster.domain.secrets import SecretKind
from muster.operations.answer_checkin import AnyCheckin, answer_checkins
from muster.operations.checkin import CheckinOutcome, CheckinRequest
from muster.operations.keep_secrets import open_secret
from muster.operations.replay_journal import Replayed, ReplayResult, replay_records
from muster.protocol.checkin import CheckinMessage, encode_checkin
from muster.protocol.identifiers import DeviceId, Identifiers
from muster.storage import escrow, identities, schema
from muster.storage.engine import Transaction
from muster.storage.journal import JournalRecord
from muster.storage.journal_records import JournaledIdentity, identity_record


class Chronicle:
    """What happens on *site*, each thing a second after the one before, and the journal of it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.records: list[JournalRecord] = site.runner.journal

    def identity(self, *, renewal_of: Identifiers | None = None) -> SignerIdentity:
        """Have an identity issued."""
        self.site.wait(seconds=1)
        identity = self.site.identity(renewal_of=renewal_of)
        issued = self.site.engine.read(lambda tx: identities.issued(tx, print_of(identity)))
        assert issued is not None
        self.records.append(identity_record(JournaledIdentity(issued), source=SOURCE, at=self.site.now))
        return identity

    def check_in(self, message: CheckinMessage, identity: SignerIdentity) -> CheckinOutcome:
        """Have a device check in."""
        at, body = self.site.wait(seconds=1), encode_checkin(message)
        name, channel_id = type(message).__name__, message.channel.id
        self.records.append(JournalRecord(at, channel_id, name, identity.certificate_der, SOURCE, body))
        request: AnyCheckin = CheckinRequest(
            message, print_of(identity), body, SOURCE, identity_not_after=NOT_AFTER, received_at=at
        )
        return self.site.do(answer_checkins, request, actor=DEVICE)[0]

    def enroll(self, identifiers: Identifiers, identity: SignerIdentity | None = None) -> SignerIdentity:
        """Have a device enroll."""
        identity = identity or self.identity()
        self.check_in(authenticate(identifiers), identity)
        self.check_in(token_update(identifiers), identity)
        return identity


def replay(site: Site, records: Sequence[JournalRecord]) -> list[Replayed]:
    """Tell *site* what the journal has."""
    return site.do(replay_records, *records)


def results(replayed: Sequence[Replayed]) -> list[ReplayResult]:
    """What became of each record."""
    return [one.result for one in replayed]


def known_of(site: Site) -> dict[str, object]:
    """What the site knows of every device: enrollments, pins, tokens, secrets, identities, epochs."""
    channels, targets, epochs, issued = schema.channels, schema.push_targets, schema.epochs, schema.identities
    devices = [DeviceId(row[0]) for row in site.rows(sa.select(channels.c.device_id).distinct())]
    return {
        "channels": sorted(
            site.rows(
                sa.select(
                    channels.c.id,
                    channels.c.state,
                    channels.c.epoch,
                    channels.c.provisional_epoch,
                    channels.c.pin,
                    channels.c.former_pin,
                    channels.c.provisional_pin,
                    channels.c.checked_in_at,
                    channels.c.ended_at,
                )
            ),
            key=repr,
        ),
        "targets": sorted(site.rows(sa.select(targets.c.channel_id, targets.c.token, targets.c.push_magic))),
        "epochs": sorted(
            site.rows(sa.select(epochs.c.device_id, epochs.c.number, epochs.c.identity, epochs.c.closed_reason)),
            key=repr,
        ),
        "identities": sorted(
            site.rows(sa.select(issued.c.fingerprint, issued.c.device_id, issued.c.renewal_of, issued.c.epoch)),
            key=repr,
        ),
        "secrets": {
            (device, kind, epoch): site.engine.read(_secret(site, device, kind, epoch))
            for device in devices
            for kind in SecretKind
            for epoch in range(5)
        },
    }


def _secret(site: Site, device: DeviceId, kind: SecretKind, epoch: int) -> Callable[[Transaction], bytes | None]:
    def read(tx: Transaction) -> bytes | None:
        kept = escrow.current(tx, device, kind, epoch=epoch)
        return None if kept is None else open_secret(kept, site.runner.context())

    return read
