"""A site with a push certificate and links of every kind, and devices that introduce themselves to its doors."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.edges.device.doors import DEVICE_CA
from tests.simulator.apns_pki import push_certificate
from tests.support.authorities import Certified, certified, ec_keys
from tests.support.site import IPAD, Site

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.access import ALL_ACCESS_RIGHTS, EnrollmentLink, LinkKind
from muster.operations.issue_certificate import hash_secret
from muster.operations.set_policy import PolicyOrder, PolicySet, set_policies
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.protocol.machine_info import MachineInfo, encode_machine_info
from muster.storage import identities

TOKEN = "t" * 32
LINK_ID = "link"
PHONE = MachineInfo(
    "iPad13,1", "21E219", IPAD.udid, "DMPXK1234567", os_version="17.4", can_request_software_update=True
)
DEVICE = certified("a device", ec_keys()[3], DEVICE_CA)
OTHER_DEVICE = certified("another device", ec_keys()[4], DEVICE_CA)


def upload_push(site: Site) -> None:
    """Give the site its push certificate."""
    pem = push_certificate()
    site.do(upload_push_certificates, UploadedPushCertificate(pem.certificate_pem, pem.key_pem))


def add_link(
    site: Site, kind: LinkKind, *, token: str = TOKEN, link_id: str = LINK_ID, **policies: Any
) -> EnrollmentLink:
    """Store a link, good for a day unless *policies* say otherwise."""
    link = EnrollmentLink(
        id=link_id,
        created_at=site.now,
        expires_at=site.now + timedelta(days=1),
        uses_allowed=None,
        uses=0,
        revoked_at=None,
        access_rights=ALL_ACCESS_RIGHTS,
        note="",
        kind=kind,
    )
    link = replace(link, **policies)
    site.engine.write(lambda tx: identities.add_link(tx, link, token_hash=hash_secret(token), created_by="ana"))
    return link


def set_policy(site: Site, name: str, text: str) -> None:
    """Set a policy as an administrator does."""
    outcome = site.do(set_policies, PolicyOrder(name, text))[0]
    assert isinstance(outcome, PolicySet), outcome


def introduction(machine: MachineInfo = PHONE, device: Certified = DEVICE, *, issuer: Certified = DEVICE_CA) -> bytes:
    """What a device says of itself, signed."""
    signer = SignerIdentity(device.certificate_der, device.key)
    return encode_machine_info(machine, signer, [issuer.certificate_der])
