"""An owner renews the push certificate: the request downloaded, signed at the portal, the answer brought back."""

import time
from datetime import timedelta
from pathlib import Path

import pytest
from tests.edges.console.test_certificate_pages import certificate, hold_vendor_certificate
from tests.edges.console.test_passkeys_in_a_browser import serving
from tests.support.chromium import PATIENCE_SECONDS, Chromium
from tests.support.fleet import TOPIC, add_device, add_push_target
from tests.support.push_portal import PushPortal
from tests.support.runner import NOW, InlineRunner

from muster.operations.sign_in import create_sign_in_links
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.storage import push_certificates


def downloaded(folder: Path, name: str) -> bytes:
    """What the browser downloaded, once it has all of it."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not (folder / name).exists():
        assert time.monotonic() < until, [one.name for one in folder.iterdir()]
        time.sleep(0.05)
    return (folder / name).read_bytes()


@pytest.mark.witness("chromium")
def test_the_push_certificate_is_renewed(
    runner: InlineRunner, browser: Chromium, pictures: Path, tmp_path: Path
) -> None:
    uploaded = UploadedPushCertificate(certificate(days=12))
    runner.engine.write(lambda tx: upload_push_certificates(tx, [uploaded], runner.context()))
    hold_vendor_certificate(runner)
    add_device(runner.engine, "MAC-1", name="Ana's Mac")
    add_push_target(runner.engine, "MAC-1")
    [link] = runner.engine.write(lambda tx: create_sign_in_links(tx, ["ana"], runner.context()))
    with serving(runner) as url:
        browser.open(f"{url}/sign-in/{link.token}")
        browser.run("document.querySelector('form button').click()")
        browser.wait_for("location.pathname === '/devices' && document.querySelector('nav a[href=\"/certificates\"]')")
        browser.run("document.querySelector('nav a[href=\"/certificates\"]').click()")
        browser.wait_for("location.pathname === '/certificates' && document.querySelector('.banner')")
        browser.shoot(pictures / "certificates.png")

        browser.run("document.querySelector('a.main').click()")
        browser.wait_for("location.pathname === '/certificates/push' && document.querySelector('#common_name')")
        browser.run("document.querySelector('#common_name').value = 'Example'")
        browser.run("document.querySelector('#common_name').form.querySelector('button').click()")
        browser.wait_for("document.querySelector('form[action^=\"/certificates/push/requests/\"]')")
        browser.shoot(pictures / "request.png")
        browser.run("document.querySelector('form[action^=\"/certificates/push/requests/\"] button').click()")
        request = downloaded(tmp_path / "downloads", "push-request.txt")

        answer = tmp_path / "from-apple.pem"
        answer.write_bytes(PushPortal().renew(TOPIC, request))
        browser.choose_file("#certificate", answer)
        browser.run("document.querySelector('#certificate').form.querySelector('button').click()")
        browser.wait_for("document.querySelector('h1').innerText === 'The push certificate is in use'")
        browser.shoot(pictures / "renewed.png")
        assert "Renewed" in browser.run("document.body.innerText")

    [in_use] = runner.engine.read(push_certificates.current_certificates)
    assert (in_use.topic, in_use.not_after > NOW + timedelta(days=300)) == (TOPIC, True)
