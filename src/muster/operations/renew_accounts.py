"""The certificates of accounts are renewed before they end: by themselves, each in the one profile of its account."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from muster.crypto.certificates import inspect_certificate
from muster.crypto.keys import RSAPrivateKey
from muster.domain.errors import Refusal
from muster.domain.installed_profiles import ProfileState
from muster.domain.renewal import ACCOUNT_RENEWAL_MARGIN, account_renewal
from muster.operations.assign_accounts import AccountChange, AccountSent, change_accounts
from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId
from muster.storage import accounts, enrollments, installed_profiles
from muster.storage.accounts import Account
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class AccountRenewal:
    """An account whose review found its certificate ending. *key* is of the next one; absent, it is made in the
    transaction.
    """

    account_id: str
    key: RSAPrivateKey | None = field(default=None, repr=False)


RenewedAccount: TypeAlias = AccountSent | Refusal | None


def ending_accounts(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> tuple[str, ...]:
    """Name the accounts on *channel_ids* whose certificates are to be renewed now; `renew_accounts` does it.

    Left out: those whose profile waits to be answered, and those that have none on the device in its present life.
    """
    ending = accounts.ending(tx, channel_ids, by=ctx.now + ACCOUNT_RENEWAL_MARGIN)
    return tuple(account.id for account in ending if _is_due(tx, account, ctx))


def renew_accounts(tx: Transaction, orders: Sequence[AccountRenewal], ctx: Context) -> list[RenewedAccount]:
    """Send each account its profile with the next certificate; None where that is not due any more.

    Refused as `change_accounts` refuses; then nothing is sent, and the next review tries again.
    """
    return [_renew(tx, order, ctx) for order in orders]


def _renew(tx: Transaction, order: AccountRenewal, ctx: Context) -> RenewedAccount:
    account = accounts.find(tx, order.account_id)
    if account is None:
        return None
    tx.lock_rows([account.channel_id])
    account = accounts.find(tx, order.account_id)  # as it is now that the channel is held
    if account is None or not _is_due(tx, account, ctx):
        return None
    return change_accounts(tx, [AccountChange(account.id, renews_certificate=True, key=order.key)], ctx)[0]


def _is_due(tx: Transaction, account: Account, ctx: Context) -> bool:
    if account.certificate_der is None or account.removed_at is not None:
        return False
    facts = inspect_certificate(account.certificate_der)
    if ctx.now < account_renewal(facts.not_before, facts.not_after):
        return False
    enrollment = enrollments.find(tx, [account.channel_id]).get(account.channel_id)
    if enrollment is None:
        return False
    profiles = installed_profiles.of_channel(tx, account.channel_id, enrollment.epoch, account.profile_identifier)
    if all(profile.state is not ProfileState.INSTALLED for profile in profiles):
        return False
    return not installed_profiles.is_one_queued(tx, account.channel_id, account.profile_identifier)
