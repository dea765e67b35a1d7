"""The MDM vendor certificate is requested and brought in the console, and signs requests from then on."""

import re

import pytest
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.edges.console.test_uploads import TYPE, body
from tests.operations.test_request_push_certificate import CHAIN, VENDOR_KEY
from tests.support.browser import Browser, Reply
from tests.support.push_portal import vendor_certificate
from tests.support.runner import InlineRunner

from muster.crypto.certificates import der_from_pem
from muster.crypto.keys import private_key_pem, public_key_der
from muster.crypto.requests import read_request
from muster.domain.roles import Role
from muster.storage import push_certificates

PATH = "/certificates/vendor"


def bring(browser: Browser, **files: bytes) -> Reply:
    sent = body(
        ('name="form_token"', form_token(browser).encode()),
        *((f'name="{name}"; filename="{name}.pem"', content) for name, content in files.items()),
    )
    return browser.ask("POST", PATH, (("sec-fetch-site", "same-origin"), ("content-type", TYPE)), sent)


def is_held(runner: InlineRunner) -> bool:
    return runner.engine.read(push_certificates.current_vendor_certificate) is not None


def test_it_is_requested_made_and_brought_and_then_signs(ana: Browser, runner: InlineRunner) -> None:
    made = ana.submit(f"{PATH}/requests", {"form_token": form_token(ana), "common_name": "Example"})
    [path] = re.findall(r'action="(/certificates/push/requests/[^"]+)"', ana.get(PATH).text)
    request = ana.submit(path, {"form_token": form_token(ana)}).body
    key = read_request(der_from_pem(request.replace(b"CERTIFICATE REQUEST", b"CERTIFICATE"))[0]).public_key_der

    brought = bring(ana, certificate=vendor_certificate(key), chain=CHAIN)

    assert (made.header("location"), brought.header("location")) == (PATH, "/certificates/push")
    assert is_held(runner)
    assert "Requests are signed here" in ana.get("/certificates/push").text


def test_one_whose_key_was_made_elsewhere_comes_with_it(ana: Browser, runner: InlineRunner) -> None:
    certificate = vendor_certificate(public_key_der(VENDOR_KEY))

    assert bring(ana, certificate=certificate, chain=CHAIN).status == 400
    assert bring(ana, certificate=certificate, chain=CHAIN, key=private_key_pem(VENDOR_KEY)).status == 303
    assert is_held(runner)


@pytest.mark.parametrize("files", [{}, {"certificate": b"nothing"}, {"certificate": CHAIN}, {"chain": CHAIN}])
def test_what_is_none_is_refused_with_what_to_do(ana: Browser, runner: InlineRunner, files: dict[str, bytes]) -> None:
    reply = bring(ana, **files)

    assert (reply.status, 'role="alert"' in reply.text, is_held(runner)) == (400, True, False)
    assert ana.submit(f"{PATH}/requests", {"form_token": form_token(ana), "common_name": ""}).status == 400


def test_only_owners_touch_it(ana: Browser, runner: InlineRunner) -> None:
    eve = signed_in(runner, "eve", Role.SECURITY)

    assert eve.get(PATH).status == 403
    assert bring(eve, certificate=CHAIN).status == 403
    assert eve.submit(f"{PATH}/requests", {"form_token": form_token(eve), "common_name": "x"}).status == 403
    assert ana.submit(f"{PATH}/requests", {"common_name": "x"}).status == 400
