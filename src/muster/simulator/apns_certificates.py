"""Which push certificates the simulated APNs listens to.

Apple says how it refuses (BadCertificate, BadCertificateEnvironment), not when it does so by TLS already. Here a
certificate out of its time is refused by TLS, and one that was revoked or is of the other environment by an answer.
"""

from datetime import datetime
from functools import lru_cache

from muster.crypto.certificates import CertificateFacts, inspect_certificate, push_topic
from muster.simulator.apns_refusal import Refusal, TlsAlert

# Every request is looked at by its certificate, of which a server has few.
_KNOWN_CERTIFICATES = 64


class PushCertificates:
    """What is held against push certificates. Not checked: who issued them, which is TLS's to do."""

    def __init__(self) -> None:
        self._refused: dict[bytes, Refusal] = {}

    def revoke(self, fingerprint: bytes) -> None:
        """Refuse the certificate with this SHA-256 from now on, as when it was revoked at Apple's portal."""
        self._refused[fingerprint] = Refusal("BadCertificate")

    def move_to_other_environment(self, fingerprint: bytes) -> None:
        """Refuse the certificate with this SHA-256 as one of the other environment (development for production)."""
        self._refused[fingerprint] = Refusal("BadCertificateEnvironment")

    def reinstate(self, fingerprint: bytes) -> None:
        """Hold nothing against the certificate with this SHA-256 any more."""
        self._refused.pop(fingerprint, None)

    def judge(self, certificate_der: bytes, now: datetime) -> Refusal | TlsAlert | None:
        """Why a client with this certificate is not heard at *now*, or None.

        Raises MalformedMessage when it is no certificate.
        """
        facts, topic = _known(certificate_der)
        if now >= facts.not_after:
            return TlsAlert.CERTIFICATE_EXPIRED
        if now < facts.not_before:
            return TlsAlert.BAD_CERTIFICATE
        return Refusal("BadCertificate") if topic is None else self._refused.get(facts.fingerprint)


@lru_cache(maxsize=_KNOWN_CERTIFICATES)
def _known(certificate_der: bytes) -> tuple[CertificateFacts, str | None]:
    return inspect_certificate(certificate_der), push_topic(certificate_der)
