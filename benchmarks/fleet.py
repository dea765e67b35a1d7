"""A fleet for measurements: enrolled devices, and what each will say, signed beforehand.

The devices share the published test keys; each has a certificate of its own, as in life, so that the server parses,
remembers and pins as many certificates as there are devices.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from muster.bootstrap.data_directory import read_key_ring
from muster.crypto.certificates import fingerprint
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import Authority, issue_identity, make_authority
from muster.crypto.keys import private_key_der
from muster.crypto.requests import make_request, read_request
from muster.crypto.sealing import associated_data
from muster.domain.enrollment import EnrollmentState, Pins
from muster.protocol.command import Command, encode_command
from muster.protocol.connect import Report, ReportHead, Status, encode_report
from muster.protocol.identifiers import CommandUUID, Identifiers, resolve_channel
from muster.protocol.mdm_signature import make_mdm_signature
from muster.protocol.plist import PlistValue
from muster.settings import Settings
from muster.simulator.keys.published import published_keys
from muster.storage import commands, enrollments, identities, queues
from muster.storage.engine import Engine, Transaction
from muster.storage.identities import StoredAuthority
from muster.storage.schema import queue

EPOCH = 1
ANSWER: dict[str, PlistValue] = {
    "QueryResponses": {
        "AvailableDeviceCapacity": 402.5,
        "BatteryLevel": 0.81,
        "BluetoothMAC": "a4:83:e7:00:00:00",
        "BuildVersion": "25B78",
        "DeviceCapacity": 494.4,
        "DeviceName": "Reception iPad",
        "HasBattery": True,
        "IsActivationLockEnabled": False,
        "IsSupervised": True,
        "Model": "MRW13LL",
        "ModelName": "iPad Pro",
        "OSVersion": "26.1",
        "ProductName": "iPad14,3",
        "SerialNumber": "F9FXK000XXXX",
        "WiFiMAC": "a4:83:e7:00:00:01",
    }
}
"""What a device answers to DeviceInformation, in about the usual number of words."""

_VALID = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Device:
    """A device with its identity."""

    udid: str
    signer: SignerIdentity


def make_fleet(count: int, now: datetime) -> tuple[Device, ...]:
    """Make *count* devices with identities issued at *now* by an authority that servers hear of with `enroll`."""
    keys = published_keys()
    authority = _authority(now)
    requests = [
        read_request(make_request(key, common_name="benchmark", organization=None, challenge=None)) for key in keys
    ]
    return tuple(
        Device(
            udid := f"BE4C0000-0000-4000-8000-{number:012X}",
            SignerIdentity(
                issue_identity(
                    requests[number % len(keys)],
                    authority,
                    subject_common_name=udid,
                    not_before=now,
                    not_after=now + _VALID,
                    serial_number=number + 2,
                ),
                keys[number % len(keys)],
            ),
        )
        for number in range(count)
    )


def _authority(now: datetime) -> Authority:
    key = published_keys()[0]
    return Authority(make_authority("Benchmark", key, now=now, lifetime=_VALID, serial_number=1), key)


def command_uuids(count: int) -> tuple[CommandUUID, ...]:
    """Name *count* commands; the same ones every time, so that answers to them can be signed beforehand."""
    return tuple(CommandUUID(f"C0440000-0000-4000-8000-{number:012X}") for number in range(count))


# --- what they say ----------------------------------------------------------------------------------------------------


def idle_request(device: Device) -> bytes:
    """Return the whole HTTP request with which *device* asks for a command."""
    return _request(device, Status.IDLE, None)


def answer_request(device: Device, command_uuid: CommandUUID) -> bytes:
    """Return the whole HTTP request with which *device* answers a command."""
    return _request(device, Status.ACKNOWLEDGED, command_uuid)


def _request(device: Device, status: Status, command_uuid: CommandUUID | None) -> bytes:
    identifiers = Identifiers(udid=device.udid)
    head = ReportHead(resolve_channel(identifiers), identifiers, status, status.value, command_uuid)
    body = encode_report(Report(head, answer={} if command_uuid is None else ANSWER))
    head_lines = (
        "PUT /mdm HTTP/1.1",
        "Host: 127.0.0.1",
        "User-Agent: MDM-OSX/1.0 mdmclient/1822",
        "Content-Type: application/x-apple-aspen-mdm; charset=UTF-8",
        f"Content-Length: {len(body)}",
        f"Mdm-Signature: {make_mdm_signature(body, device.signer)}",
    )
    return "\r\n".join(head_lines).encode() + b"\r\n\r\n" + body


# --- what the server knows of them ------------------------------------------------------------------------------------


def enroll(engine: Engine, settings: Settings, fleet: Sequence[Device], now: datetime) -> None:
    """Store *fleet* as enrolled and pinned: what a connect looks at, without the check-ins that lead there.

    Its authority is stored as a former one of the server's, which knows it from its next start on.
    """
    authority = _authority(now)
    name = fingerprint(authority.certificate_der)
    place = associated_data("authorities", "key_sealed", name.hex())
    sealed = read_key_ring(settings.key_ring_path).seal(private_key_der(authority.key), place, os.urandom)
    former = StoredAuthority(name, authority.certificate_der, sealed, is_current=False)

    def work(tx: Transaction) -> None:
        identities.add_authority(tx, former, now)
        for device in fleet:
            channel = resolve_channel(Identifiers(udid=device.udid))
            pins = Pins(current=fingerprint(device.signer.certificate_der))
            enrollments.add(tx, channel, state=EnrollmentState.ENROLLED, epoch=EPOCH, first_seen_at=now)
            enrollments.set_current(tx, channel.id, epoch=EPOCH, pins=pins, enrolled_at=now)

    engine.write(work)


def store_commands(engine: Engine, uuids: Sequence[CommandUUID], now: datetime) -> None:
    """Store the commands *uuids*; they are on no queue yet."""

    def work(tx: Transaction) -> None:
        for uuid in uuids:
            body = encode_command(Command(uuid, "DeviceInformation", {"Queries": ["UDID", "OSVersion", "Model"]}))
            commands.add(tx, commands.NewCommand(uuid, "DeviceInformation", body, "benchmark"), now)

    engine.write(work)


def fill_queues(engine: Engine, fleet: Sequence[Device], uuids: Sequence[CommandUUID], now: datetime) -> None:
    """Put each of *uuids* on the queue of every device, in order; whatever was left there goes first."""
    targets = [(resolve_channel(Identifiers(udid=device.udid)).id, EPOCH) for device in fleet]

    def work(tx: Transaction) -> None:
        tx.connection.execute(sa.delete(queue))
        for number, uuid in enumerate(uuids):
            queues.enqueue(tx, uuid, targets, priority=0, at=now + timedelta(microseconds=number))

    engine.write(work)


def waiting(engine: Engine) -> int:
    """Count the commands on all queues."""
    return engine.read(lambda tx: tx.connection.execute(sa.select(sa.func.count()).select_from(queue)).scalar_one())
