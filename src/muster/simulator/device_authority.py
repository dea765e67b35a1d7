"""Who vouches for simulated devices: a chain of authorities as Apple's, the lower ones lapsed as Apple's have.

Everybody has its keys: a server that trusts this root believes whatever anybody says of a device.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zlib import crc32

from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import Authority, issue_identity, make_authority, make_intermediate_authority
from muster.crypto.keys import RSAPrivateKey
from muster.crypto.requests import make_request, read_request
from muster.simulator.facts import DeviceFacts
from muster.simulator.keys.published import published_keys

ROOT_BEGAN = datetime(2006, 4, 25, tzinfo=UTC)
ROOT_LIFETIME = timedelta(days=365 * 40)
MIDDLE_VALID = (datetime(2007, 4, 12, tzinfo=UTC), datetime(2022, 4, 12, tzinfo=UTC))
DEVICES_VALID = (datetime(2007, 4, 16, tzinfo=UTC), datetime(2014, 4, 16, tzinfo=UTC))
"""The middle and the lowest of Apple's three authorities, and when they were valid."""
DEVICE_LIFETIME = timedelta(days=3 * 365)
"""Of a device's own certificate, from the day of which its system is; it is not renewed either."""
DEVICE_BEGAN = datetime(2023, 9, 22, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FactoryIdentity:
    """What a device is born with: its signer, and the authorities (DER) from its issuer upwards, without the root."""

    signer: SignerIdentity
    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class DeviceAuthority:
    """Issues identities to simulated devices, as Apple does in the factory. `root_der` is what a server must trust."""

    root_der: bytes
    chain: tuple[bytes, ...]
    issuer: Authority

    def certify(self, facts: DeviceFacts) -> FactoryIdentity:
        """The identity of the device of *facts*, always the same. Its key is one of the published ones."""
        keys = published_keys()
        key = keys[crc32(facts.udid.encode()) % len(keys)]
        certificate = issue_identity(
            read_request(make_request(key, common_name=facts.udid)),
            self.issuer,
            subject_common_name=facts.udid,
            not_before=DEVICE_BEGAN,
            not_after=DEVICE_BEGAN + DEVICE_LIFETIME,
            serial_number=int.from_bytes(facts.serial_number.encode(), "big"),
        )
        return FactoryIdentity(SignerIdentity(certificate, key), self.chain)


@cache
def device_authority() -> DeviceAuthority:
    """The authority of every simulated device, made of published keys; the same in every process."""
    root_key, middle_key, devices_key = published_keys()[:3]
    name = "Muster Simulated"
    root_der = make_authority(f"{name} Root CA", root_key, now=ROOT_BEGAN, lifetime=ROOT_LIFETIME, serial_number=1)
    middle = _below(Authority(root_der, root_key), f"{name} Certification Authority", middle_key, MIDDLE_VALID)
    issuer = _below(middle, f"{name} Device CA", devices_key, DEVICES_VALID)
    return DeviceAuthority(root_der, (issuer.certificate_der, middle.certificate_der), issuer)


def _below(issuer: Authority, name: str, key: RSAPrivateKey, valid: tuple[datetime, datetime]) -> Authority:
    not_before, not_after = valid
    certificate = make_intermediate_authority(
        name, key, issuer, not_before=not_before, not_after=not_after, serial_number=2
    )
    return Authority(certificate, key)
