"""What enrollment profiles of this server say, and who signs them."""

from muster.bootstrap.pem_files import read_certificates, read_signer
from muster.crypto.cms.signing import SignerIdentity
from muster.operations.enrollment_profiles import EnrollmentTerms
from muster.operations.first_start import Foundation
from muster.protocol.profile_signature import ProfileSigner
from muster.settings import Settings
from muster.storage.installations import Installation


def enrollment_terms(settings: Settings, running: Installation | None = None) -> EnrollmentTerms:
    """What every enrollment profile of this server says alike.

    *running* is the installation as its server announced it: its URLs stand in where the settings name none.
    """
    anchors: tuple[bytes, ...] = ()
    if settings.profile_trust_anchors is not None:
        # Each once: a profile whose payloads share an identifier is refused.
        anchors = tuple(dict.fromkeys(read_certificates(settings.profile_trust_anchors, "profile_trust_anchors")))
    public_url, check_in_url = settings.effective_public_url, settings.check_in_url
    if settings.public_url is None and running is not None and running.public_url is not None:
        public_url, check_in_url = running.public_url, check_in_url or running.check_in_url
    return EnrollmentTerms(public_url, check_in_url, settings.organization, anchors)


def profile_signer(settings: Settings, foundation: Foundation) -> ProfileSigner:
    """Choose who signs profiles: as set, else the TLS certificate, which devices trust already, else our authority."""
    if settings.profile_signer_certificate is not None and settings.profile_signer_key is not None:
        signer, chain = read_signer(
            settings.profile_signer_certificate,
            settings.profile_signer_key,
            "profile_signer_certificate",
            "profile_signer_key",
        )
    elif settings.tls_certificate is not None and settings.tls_key is not None:
        signer, chain = read_signer(settings.tls_certificate, settings.tls_key, "tls_certificate", "tls_key")
    else:
        authority = foundation.authority
        signer, chain = SignerIdentity(authority.certificate_der, authority.key), ()
    return ProfileSigner(signer, chain)
