"""The push certificate is renewed in the browser, step by step; what ends is seen coming."""

import re
from datetime import timedelta

import pytest
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.edges.console.test_uploads import BOUNDARY, TYPE, body
from tests.operations.test_request_push_certificate import CHAIN, VENDOR_KEY
from tests.support.browser import Browser, Reply
from tests.support.fleet import TOPIC, add_device, add_push_target
from tests.support.push_portal import PushPortal, push_certificate_of, vendor_certificate
from tests.support.runner import NOW, InlineRunner

from muster.crypto.certificates import pem_from_der
from muster.crypto.keys import private_key_pem, public_key_der
from muster.domain.roles import Role
from muster.operations.manage_tokens import TokenOrder, create_tokens
from muster.operations.upload_vendor_certificate import UploadedVendorCertificate, upload_vendor_certificates
from muster.simulator.keys.published import published_keys
from muster.storage import push_certificates

FIELDS = {"common_name": "Example", "email": "", "country": "de"}
KEY = published_keys()[3]


def hold_vendor_certificate(runner: InlineRunner) -> None:
    uploaded = UploadedVendorCertificate(
        vendor_certificate(public_key_der(VENDOR_KEY)), private_key_pem(VENDOR_KEY), CHAIN
    )
    runner.engine.write(lambda tx: upload_vendor_certificates(tx, [uploaded], runner.context()))


def make_request(browser: Browser) -> bytes:
    """Make a request and download it, as the pages lead."""
    made = browser.submit("/certificates/push/requests", {**FIELDS, "form_token": form_token(browser)})
    assert made.header("location") == "/certificates/push"
    [path] = re.findall(r'action="(/certificates/push/requests/[^"]+)"', browser.get("/certificates/push").text)
    given = browser.submit(path, {"form_token": form_token(browser)})
    assert "attachment" in (given.header("content-disposition") or "")
    return given.body


def upload(browser: Browser, certificate: bytes, key: bytes = b"", **fields: str) -> Reply:
    sent = body(
        ('name="form_token"', form_token(browser).encode()),
        *((f'name="{name}"', value.encode()) for name, value in fields.items()),
        ('name="certificate"; filename="push.pem"', certificate),
        ('name="key"; filename=""', key),
        boundary=BOUNDARY,
    )
    headers = (("sec-fetch-site", "same-origin"), ("content-type", TYPE))
    return browser.ask("POST", "/certificates/push", headers, sent)


def certificate(topic: str = TOPIC, days: int = 365) -> bytes:
    made = push_certificate_of(topic, public_key_der(KEY), not_after=NOW + timedelta(days=days))
    return pem_from_der([made]) + private_key_pem(KEY)


def topics(runner: InlineRunner) -> list[str]:
    return [one.topic for one in runner.engine.read(push_certificates.current_certificates)]


def test_a_certificate_is_renewed_from_request_by_the_portal_to_upload(ana: Browser, runner: InlineRunner) -> None:
    hold_vendor_certificate(runner)
    assert upload(ana, certificate(days=20)).status == 200
    add_device(runner.engine, "MAC-1")
    add_push_target(runner.engine, "MAC-1")

    page = ana.get("/certificates/push").text
    answer = PushPortal().renew(TOPIC, make_request(ana))
    taken = upload(ana, answer)

    assert "Renew the push certificate" in page
    assert TOPIC in page
    assert (taken.status, "Renewed: the former one ends on" in taken.text) == (200, True)
    assert topics(runner) == [TOPIC]
    assert "Download it" not in ana.get("/certificates/push").text


def test_a_request_waits_between_visits_and_is_the_same_each_time(ana: Browser) -> None:
    first = make_request(ana)
    [path] = re.findall(r'action="(/certificates/push/requests/[^"]+)"', ana.get("/certificates/push").text)

    assert first.startswith(b"-----BEGIN CERTIFICATE REQUEST-----")
    assert ana.submit(path, {"form_token": form_token(ana)}).body == first
    assert ana.submit("/certificates/push/requests/NONE", {"form_token": form_token(ana)}).status == 400


def test_another_topic_is_refused_until_it_is_meant(ana: Browser, runner: InlineRunner) -> None:
    assert upload(ana, certificate()).status == 200
    add_device(runner.engine, "MAC-1", serial_number="C02NAMED")
    add_push_target(runner.engine, "MAC-1")
    other = certificate("com.apple.mgmt.External.other")

    refused = upload(ana, other)
    assert (refused.status, topics(runner)) == (400, [TOPIC])
    assert "C02NAMED" in refused.text
    assert 'name="replace_topic"' in refused.text

    assert upload(ana, other, replace_topic="yes").status == 200
    assert set(topics(runner)) == {TOPIC, "com.apple.mgmt.External.other"}


@pytest.mark.parametrize("sent", [b"", b"nothing of a certificate", b"\x00\xff" * 100])
def test_what_is_no_certificate_is_refused_with_what_to_do(ana: Browser, runner: InlineRunner, sent: bytes) -> None:
    reply = upload(ana, sent)

    assert (reply.status, 'role="alert"' in reply.text, topics(runner)) == (400, True, [])


def test_a_certificate_may_be_put_in_as_text(ana: Browser, runner: InlineRunner) -> None:
    assert upload(ana, b"", certificate_text=certificate().decode()).status == 200

    assert topics(runner) == [TOPIC]


def test_a_request_that_can_not_be_is_refused_and_what_was_typed_is_kept(ana: Browser) -> None:
    fields = {**FIELDS, "country": "Germany", "form_token": form_token(ana)}

    reply = ana.submit("/certificates/push/requests", fields)

    assert (reply.status, 'value="Example"' in reply.text, "two letters" in reply.text) == (400, True, True)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.SECURITY])
def test_only_owners_touch_the_push_certificate(ana: Browser, runner: InlineRunner, role: Role) -> None:
    eve = signed_in(runner, "eve", role)
    fields = {**FIELDS, "form_token": form_token(eve)}

    assert eve.get("/certificates").status == 200
    assert eve.get("/certificates/push").status == 403
    assert eve.submit("/certificates/push/requests", fields).status == 403
    assert eve.submit("/certificates/push/requests/ANY", fields).status == 403
    assert upload(eve, certificate()).status == 403
    assert topics(runner) == []
    assert ana.get("/certificates/push").status == 200


def test_a_form_of_another_session_or_site_changes_nothing(ana: Browser, runner: InlineRunner) -> None:
    sent = body(('name="form_token"', b"0" * 64), ('name="certificate"; filename="x"', certificate()))
    headers = (("sec-fetch-site", "same-origin"), ("content-type", TYPE))

    assert ana.ask("POST", "/certificates/push", headers, sent).status == 400
    assert ana.ask("POST", "/certificates/push", headers, b"x" * 600_000).status == 400
    assert ana.ask("POST", "/certificates/push", (("sec-fetch-site", "cross-site"), headers[1]), sent).status == 403
    assert Browser(ana.app).ask("POST", "/certificates/push", headers, sent).header("location") == "/sign-in"
    assert topics(runner) == []


def test_what_ends_is_listed_the_earliest_first(ana: Browser, runner: InlineRunner) -> None:
    context = runner.context()
    order = TokenOrder("backup of the night", Role.VIEWER, timedelta(days=7))
    runner.engine.write(lambda tx: create_tokens(tx, [order], context))
    upload(ana, certificate(days=20))

    page = ana.get("/certificates").text
    assert page.index("backup of the night") < page.rindex(TOPIC)
    assert "Soon" in page
    assert "backup of the night" not in signed_in(runner, "eve", Role.SECURITY).get("/certificates").text
