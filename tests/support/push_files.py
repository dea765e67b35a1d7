"""A push certificate for a site of tests."""

from tests.simulator.apns_pki import push_certificate
from tests.support.site import TOPIC, Site

from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates


def have_push_certificate(site: Site, topic: str = TOPIC) -> None:
    """Put a push certificate for *topic* into use, the one of the site's devices unless another is named."""
    made = push_certificate(topic)
    site.do(upload_push_certificates, UploadedPushCertificate(made.certificate_pem, made.key_pem))
