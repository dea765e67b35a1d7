"""MachineInfo: what a device says of itself, signed, when it asks for its enrollment profile.

It comes as the body of a POST, or, where the user signs in on a web page first, in a header of each GET. It names no
moment and no server: whoever holds an old one can send it again.

Source: Apple's device management schema, "MachineInfo"; Apple, "Implementing device assignment".
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from muster.crypto.algorithms import Digest
from muster.crypto.cms.signing import SignerIdentity, sign_attached
from muster.protocol.base64_text import read_base64
from muster.protocol.device_signature import open_signed_by_device, verify_device_chain
from muster.protocol.fields import optional_data, optional_text, present, required_text
from muster.protocol.identifiers import read_identifier, read_udid
from muster.protocol.plist import PlistValue, read_plist, write_plist

MACHINE_INFO_HEADER: Final = "x-apple-aspen-deviceinfo"
MACHINE_INFO_MEDIA_TYPE: Final = "application/pkcs7-signature"

MAX_HEADER_CHARACTERS: Final = 32 * 1024
"""Base64 of 24 KiB, three times what a message with its whole chain has."""

MAX_PAIRING_TOKEN_BYTES: Final = 16 * 1024
"""Apple names no bound; tokens of this kind have some hundred bytes."""


@dataclass(frozen=True, slots=True)
class MachineInfo:
    """A device before it is enrolled. None: it did not say.

    udid and serial are None in account-driven enrollments, which must not name the device. version is the build
    (21A329), os_version what people call it (17.0). can_request_software_update and can_request_psso_config say which
    refusals this device understands. is_update_mandatory: Setup Assistant will update the device in any case.
    software_update_device_id: its name in Apple's list of updates.
    """

    product: str
    version: str
    udid: str | None = None
    serial: str | None = None
    os_version: str | None = None
    imei: str | None = None
    meid: str | None = None
    language: str | None = None
    can_request_software_update: bool = False
    can_request_psso_config: bool = False
    is_update_mandatory: bool = False
    software_update_device_id: str | None = None
    supplemental_build_version: str | None = None
    supplemental_os_version_extra: str | None = None
    pairing_token: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SignedMachineInfo:
    """What was said and who signed it.

    chain_der: from the signer to the trusted root; only the signer where no roots were given. is_verified: the chain
    was asked for and leads to a root. is_legacy: signed with SHA-1 or a short RSA key.
    """

    info: MachineInfo
    signer_certificate_der: bytes
    chain_der: tuple[bytes, ...]
    is_verified: bool
    is_legacy: bool


def decode_machine_info(cms: bytes, *, roots: Sequence[bytes] | None, allow_legacy: bool) -> SignedMachineInfo:
    """The MachineInfo in *cms*, DER or BER, signed by a device whose chain leads to one of *roots* (DER).

    *roots* None leaves out who issued the signer's certificate: then anybody can have made it. *allow_legacy* is
    about the signature itself; in the chain SHA-1 is always good enough. Keys that are unknown are passed over.

    Raises MalformedMessage when *cms* is not one signed message of at most 64 KiB around a property list with
    PRODUCT and VERSION, or a key has another type or is too long; BadSignature when the signature does not cover the
    content or no chain leads from the signer over an authority for devices to a root; RefusedAlgorithm when an
    algorithm is unknown, or legacy without *allow_legacy*.
    """
    verified = open_signed_by_device(cms, allow_legacy=allow_legacy)
    signer = verified.signer_certificate_der
    chain = (signer,) if roots is None else verify_device_chain(signer, verified.certificates_der, roots)
    info = _decode_keys(read_plist(verified.content))
    return SignedMachineInfo(info, signer, chain, is_verified=roots is not None, is_legacy=verified.is_legacy)


def decode_machine_info_header(header: str, *, roots: Sequence[bytes] | None, allow_legacy: bool) -> SignedMachineInfo:
    """The MachineInfo in the header x-apple-aspen-deviceinfo; white space in it is passed over.

    As `decode_machine_info`; MalformedMessage also when *header* is not base64 or longer than 32,768 characters.
    """
    cms = read_base64(header, MACHINE_INFO_HEADER, MAX_HEADER_CHARACTERS)
    return decode_machine_info(cms, roots=roots, allow_legacy=allow_legacy)


def encode_machine_info(
    info: MachineInfo, signer: SignerIdentity, chain: Sequence[bytes] = (), *, digest: Digest = Digest.SHA256
) -> bytes:
    """*info* as a simulated device sends it, signed by *signer*, with *chain* (DER) behind its certificate."""
    keys = present(
        {
            "UDID": info.udid,
            "SERIAL": info.serial,
            "PRODUCT": info.product,
            "VERSION": info.version,
            "OS_VERSION": info.os_version,
            "SUPPLEMENTAL_BUILD_VERSION": info.supplemental_build_version,
            "SUPPLEMENTAL_OS_VERSION_EXTRA": info.supplemental_os_version_extra,
            "IMEI": info.imei,
            "MEID": info.meid,
            "LANGUAGE": info.language,
            "MDM_CAN_REQUEST_SOFTWARE_UPDATE": info.can_request_software_update or None,
            "MDM_CAN_REQUEST_PSSO_CONFIG": info.can_request_psso_config or None,
            "MANDATORY_SOFTWARE_UPDATE_REQUIRED": info.is_update_mandatory or None,
            "SOFTWARE_UPDATE_DEVICE_ID": info.software_update_device_id,
            "PAIRING_TOKEN": info.pairing_token,
        }
    )
    return sign_attached(write_plist(keys), signer, chain=chain, digest=digest)


def encode_machine_info_header(info: MachineInfo, signer: SignerIdentity, chain: Sequence[bytes] = ()) -> str:
    """*info* as the header x-apple-aspen-deviceinfo. For simulated devices."""
    return base64.b64encode(encode_machine_info(info, signer, chain)).decode("ascii")


def _decode_keys(keys: Mapping[str, PlistValue]) -> MachineInfo:
    return MachineInfo(
        product=required_text(keys, "PRODUCT"),
        version=required_text(keys, "VERSION"),
        udid=read_udid(keys),
        serial=read_identifier(keys, "SERIAL"),
        os_version=optional_text(keys, "OS_VERSION"),
        imei=read_identifier(keys, "IMEI"),
        meid=read_identifier(keys, "MEID"),
        language=optional_text(keys, "LANGUAGE"),
        # What is no boolean is no promise; a device is not turned away for it.
        can_request_software_update=keys.get("MDM_CAN_REQUEST_SOFTWARE_UPDATE") is True,
        can_request_psso_config=keys.get("MDM_CAN_REQUEST_PSSO_CONFIG") is True,
        is_update_mandatory=keys.get("MANDATORY_SOFTWARE_UPDATE_REQUIRED") is True,
        software_update_device_id=optional_text(keys, "SOFTWARE_UPDATE_DEVICE_ID"),
        supplemental_build_version=optional_text(keys, "SUPPLEMENTAL_BUILD_VERSION"),
        supplemental_os_version_extra=optional_text(keys, "SUPPLEMENTAL_OS_VERSION_EXTRA"),
        pairing_token=optional_data(keys, "PAIRING_TOKEN", MAX_PAIRING_TOKEN_BYTES),
    )
