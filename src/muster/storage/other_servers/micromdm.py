"""MicroMDM's database file: devices, their push tokens, the hashes of their identities, the push certificate.

Source: MicroMDM, platform/device (device.proto, builtin/db.go, udidauth.go), platform/apns/internal/pushproto and
platform/config. It keeps no message as it came, and no users: what devices said is put together from what it keeps.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from muster.crypto.certificates import der_from_pem, push_topic
from muster.crypto.errors import CryptoError
from muster.domain.adoption import AdoptionOrder, PushCertificateElsewhere, Unfit
from muster.protocol.checkin import Authenticate, TokenUpdate, encode_checkin
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import Identifiers, resolve_channel
from muster.protocol.plist_values import xml_characters
from muster.storage.other_servers.bolt import BoltFile
from muster.storage.other_servers.errors import Unreadable
from muster.storage.other_servers.protobuf import read_message

_HASH_BYTES: Final = 32
_UDID, _SERIAL, _OS, _BUILD, _PRODUCT, _IMEI, _MEID = range(2, 9)
_UNLOCK_TOKEN, _ENROLLED, _AWAITING, _NAME, _MODEL, _MODEL_NAME = 12, 13, 14, 15, 16, 17
_LAST_SEEN, _BOOTSTRAP_TOKEN = 28, 30
_PUSH_TOKEN, _PUSH_MAGIC, _TOPIC = 2, 3, 4
_Fields = Mapping[int, int | bytes]


class MicromdmFile:
    """One database file (`micromdm.db`). *read_at* stands for times that it doesn't keep. Raises Unreadable."""

    def __init__(self, data: bytes, read_at: datetime) -> None:
        self._file = BoltFile(data)
        self._read_at = read_at
        if not any(True for _ in self._file.bucket("mdm.Devices")):
            raise Unreadable("this is no database of MicroMDM's, or it has no devices")

    def close(self) -> None:
        """Nothing is held."""

    def push_certificates(self) -> list[PushCertificateElsewhere]:
        """Read the push certificate, where there is one."""
        found = [read_message(value) for key, value in self._file.bucket("mdm.ServerConfig") if key == b"config"]
        certificates = [(_octets(one, 1), _octets(one, 2)) for one in found]
        return [
            PushCertificateElsewhere(topic, certificate, key)
            for certificate, key in certificates
            if certificate and key and (topic := _topic_of(certificate)) is not None
        ]

    def devices(self, *, with_queue: bool = True) -> Iterator[AdoptionOrder | Unfit]:  # noqa: ARG002 - its commands are not read
        """Read device after device; those that it only knows from Apple's list are left out."""
        pushes = {
            key.decode("utf-8", "replace"): read_message(value) for key, value in self._file.bucket("mdm.PushInfo")
        }
        hashes = {key.decode("utf-8", "replace"): value for key, value in self._file.bucket("mdm.UDIDCertAuth")}
        for _, value in self._file.bucket("mdm.Devices"):
            fields = read_message(value)
            udid = _text(fields, _UDID)
            if udid is not None:
                yield self._device(udid, fields, pushes.get(udid), hashes.get(udid))

    def _device(self, udid: str, fields: _Fields, push: _Fields | None, known: bytes | None) -> AdoptionOrder | Unfit:
        if not fields.get(_ENROLLED):
            return Unfit(udid, "it is not enrolled there any more")
        token = None if push is None else _hex(push, _PUSH_TOKEN)
        magic = None if push is None else _text(push, _PUSH_MAGIC)
        topic = None if push is None else _text(push, _TOPIC)
        if token is None or magic is None or topic is None:
            return Unfit(udid, "its enrollment was never complete")
        identifiers = Identifiers(udid=udid)
        try:
            channel = resolve_channel(identifiers)
        except MalformedMessage as error:
            return Unfit(udid[:100], str(error))
        said = Authenticate(
            identifiers,
            channel,
            topic,
            _text(fields, _NAME),
            _text(fields, _MODEL),
            model_name=_text(fields, _MODEL_NAME),
            product_name=_text(fields, _PRODUCT),
            serial_number=_text(fields, _SERIAL),
            os_version=_text(fields, _OS),
            build_version=_text(fields, _BUILD),
            imei=_text(fields, _IMEI),
            meid=_text(fields, _MEID),
        )
        update = TokenUpdate(
            identifiers,
            channel,
            topic,
            token,
            magic,
            _hex(fields, _UNLOCK_TOKEN),
            True if fields.get(_AWAITING) else None,
        )
        seen_at = _instant(fields.get(_LAST_SEEN)) or self._read_at
        return AdoptionOrder(
            kept_as=udid,
            authenticate=encode_checkin(said),
            token_update=encode_checkin(update),
            authenticated_at=seen_at,
            updated_at=seen_at,
            awaited=known if known is not None and len(known) == _HASH_BYTES else None,
            bootstrap_token=_octets(fields, _BOOTSTRAP_TOKEN) or None,
        )


def _topic_of(certificate_pem: bytes) -> str | None:
    try:
        return push_topic(der_from_pem(certificate_pem)[0])
    except CryptoError:
        return None


def _octets(fields: _Fields, number: int) -> bytes:
    value = fields.get(number, b"")
    return value if isinstance(value, bytes) else b""


def _text(fields: _Fields, number: int) -> str | None:
    """Return a text; control characters in it, which devices put into their names, become U+FFFD."""
    return xml_characters(_octets(fields, number).decode("utf-8", "replace")) or None


def _hex(fields: _Fields, number: int) -> bytes | None:
    try:
        return bytes.fromhex(_octets(fields, number).decode("ascii")) or None
    except (UnicodeDecodeError, ValueError):
        return None


def _instant(nanoseconds: int | bytes | None) -> datetime | None:
    if not isinstance(nanoseconds, int) or not 0 < nanoseconds < 1 << 62:
        return None
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)
