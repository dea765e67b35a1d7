"""Certificates of accounts are renewed in time, by the reviews of their channels."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.operations.test_assign_accounts import (
    VPN,
    assign,
    enroll_ipad,
    make_template,
    payloads,
    refusal,
    rows,
    take,
)
from tests.support.site import IPAD, Site, id_of

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.access import SERVER
from muster.domain.account_templates import AccountKind, AccountTemplate
from muster.domain.errors import RefusalCode
from muster.operations.account_templates import TemplateOrder, keep_templates
from muster.operations.assign_accounts import AccountChange, AccountSent, change_accounts, remove_accounts
from muster.operations.cancel_commands import CancelOrder, cancel_commands
from muster.operations.pause_queues import PauseOrder, pause_queues
from muster.operations.renew_accounts import AccountRenewal, RenewedAccount, renew_accounts
from muster.operations.review_channels import review_channels
from muster.storage import reviews


def review(site: Site) -> list[RenewedAccount]:
    """Review the iPad, and renew what that finds."""
    site.engine.write(lambda tx: reviews.schedule(tx, id_of(IPAD), site.now))
    reviewed = site.do(review_channels, None, actor=SERVER)[0]
    orders = [AccountRenewal(one) for one in reviewed.accounts_to_renew]
    return site.do(renew_accounts, *orders, actor=SERVER)


def ipad_with_certificate(site: Site) -> tuple[SignerIdentity, AccountSent]:
    site.hold_authority_key()
    identity = enroll_ipad(site)
    make_template(site, "vpn", AccountKind.VPN, VPN, certificate=True)
    return identity, assign(site, "vpn")


def wait_until_left(site: Site, left: timedelta) -> None:
    until = rows(site)[0].certificate_not_after
    assert until is not None
    site.wait(seconds=(until - left - site.now).total_seconds())


def test_certificate_is_renewed_once_when_a_month_is_left(site: Site) -> None:
    identity, sent = ipad_with_certificate(site)
    before = payloads(take(site, identity))[0]

    wait_until_left(site, timedelta(days=30, minutes=1))
    early = review(site)
    wait_until_left(site, timedelta(days=30))
    renewed = review(site)
    after = payloads(take(site, identity))[0]

    assert early == []
    (one,) = renewed
    assert isinstance(one, AccountSent)
    assert (one.account_id, one.revision) == (sent.account_id, 2)
    assert before["PayloadUUID"] == after["PayloadUUID"]
    assert before["PayloadContent"] != after["PayloadContent"]
    assert review(site) == []
    assert rows(site)[0].changed_by == "muster"


def test_short_lived_certificate_is_renewed_when_a_third_is_left(site: Site) -> None:
    site.runner.policy = replace(site.runner.policy, identity_lifetime=timedelta(days=29))  # and a day before it began
    identity, _ = ipad_with_certificate(site)
    take(site, identity)

    wait_until_left(site, timedelta(days=10, minutes=1))
    early = review(site)
    wait_until_left(site, timedelta(days=10))

    assert early == []
    assert len(review(site)) == 1


@pytest.mark.parametrize("is_paused", [False, True])
def test_nothing_is_sent_while_a_profile_of_the_account_is_unanswered(site: Site, is_paused: bool) -> None:
    site.runner.policy = replace(site.runner.policy, identity_lifetime=timedelta(days=60))
    identity, _ = ipad_with_certificate(site)
    take(site, identity)
    wait_until_left(site, timedelta(days=15))
    first = review(site)
    if is_paused:
        site.do(pause_queues, PauseOrder(id_of(IPAD), "on its way"))

    wait_until_left(site, timedelta(days=15))
    again = review(site)

    assert (len(first), again) == (1, [])


def test_profile_that_was_taken_back_keeps_no_renewal_waiting(site: Site) -> None:
    identity, sent = ipad_with_certificate(site)
    take(site, identity)
    again = site.do(change_accounts, AccountChange(sent.account_id))[0]
    assert isinstance(again, AccountSent)
    wait_until_left(site, timedelta(days=20))

    before = review(site)
    site.do(cancel_commands, CancelOrder(again.command_uuid))

    assert before == []
    assert len(review(site)) == 1


def test_account_that_can_not_be_renewed_is_refused_and_found_again(site: Site) -> None:
    identity, _ = ipad_with_certificate(site)
    take(site, identity)
    needs_more = AccountTemplate("vpn", AccountKind.VPN, "${user.room}", VPN, has_certificate=True)
    site.do(keep_templates, TemplateOrder(needs_more, replaces=True))
    wait_until_left(site, timedelta(days=20))

    outcomes = review(site) + review(site)

    assert [refusal(one).code for one in outcomes] == [RefusalCode.VARIABLE_UNKNOWN] * 2


def test_account_that_the_device_never_had_is_not_sent_by_itself(site: Site) -> None:
    ipad_with_certificate(site)

    wait_until_left(site, timedelta(days=10))

    assert review(site) == []


def test_removed_account_is_not_renewed(site: Site) -> None:
    identity, sent = ipad_with_certificate(site)
    take(site, identity)
    wait_until_left(site, timedelta(days=10))
    site.do(remove_accounts, sent.account_id)

    assert review(site) == []
    assert site.do(renew_accounts, AccountRenewal(sent.account_id)) == [None]


def test_account_of_an_earlier_life_is_not_renewed(site: Site) -> None:
    identity, _ = ipad_with_certificate(site)
    take(site, identity)
    wait_until_left(site, timedelta(days=10))
    enroll_ipad(site)

    assert review(site) == []
