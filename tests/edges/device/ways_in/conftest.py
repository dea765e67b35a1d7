"""A site that can let devices in: it has a push certificate."""

import pytest
from tests.edges.device.doors import Doors
from tests.simulator.apns_pki import push_certificate
from tests.support.site import Site

from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates


@pytest.fixture
def ready(doors: Doors) -> Site:
    """The site behind `doors`, with a push certificate."""
    pem = push_certificate()
    doors.site.do(upload_push_certificates, UploadedPushCertificate(pem.certificate_pem, pem.key_pem))
    return doors.site
