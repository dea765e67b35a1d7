"""Accounts are made on channels, changed, given new passwords and certificates, and removed: one profile for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from muster.crypto.keys import RSAPrivateKey
from muster.domain.account_templates import AccountTemplate
from muster.domain.enrollment import Enrollment
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.template_variables import MAX_VALUE_CHARACTERS, check_name
from muster.operations.account_profiles import issue_account_identity, make_account_profile, with_password
from muster.operations.account_templates import no_template
from muster.operations.context import Context
from muster.operations.install_profiles import (
    ProfileOrder,
    ProfileRemovalOrder,
    ProfileSent,
    install_profiles,
    remove_profiles,
)
from muster.operations.permit import act
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import accounts, enrollments, installations, installed_profiles, people
from muster.storage.accounts import Account
from muster.storage.engine import Transaction

MAX_VARIABLES = 50
"""Given for one account."""
MAX_PASSWORD_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class AccountOrder:
    """An account to make from *template* on a channel. *variables* win over what is known of device and user.

    *key*: of the identity, where the template has certificates; absent, it is made in the transaction.
    """

    template: str
    channel_id: ChannelId
    variables: Mapping[str, str] = field(default_factory=dict)
    password: str | None = field(default=None, repr=False)
    key: RSAPrivateKey | None = field(default=None, repr=False)
    anyway: bool = False


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What is to change of an account; nothing: its profile is sent again, by its template as that is now.

    *variables* are added to those it has, an empty value takes one away. *password* None: it stays as it is.
    """

    account_id: str
    variables: Mapping[str, str] = field(default_factory=dict)
    password: str | None = field(default=None, repr=False)
    renews_certificate: bool = False
    key: RSAPrivateKey | None = field(default=None, repr=False)
    anyway: bool = False


@dataclass(frozen=True, slots=True)
class AccountSent:
    """An account whose profile waits for its channel."""

    account_id: str
    channel_id: ChannelId
    revision: int
    command_uuid: CommandUUID
    profile_identifier: str


@dataclass(frozen=True, slots=True)
class AccountRemoved:
    """An account that is there no more. *command_uuid* None: its device had no profile of it."""

    account_id: str
    channel_id: ChannelId
    command_uuid: CommandUUID | None


AccountOutcome: TypeAlias = AccountSent | Refusal
RemovalOutcome: TypeAlias = AccountRemoved | Refusal


def _whose(tx: Transaction, account_id: str) -> tuple[ChannelId, ...]:
    """Return the channel that has the account; none where there is no such account."""
    known = accounts.find(tx, account_id)
    return () if known is None else (known.channel_id,)


@act(Permission.COMMAND, about=lambda _tx, order: (order.channel_id,))
def assign_accounts(tx: Transaction, orders: Sequence[AccountOrder], ctx: Context) -> list[AccountOutcome]:
    """Make an account for each of *orders* and send its profile; refused as `make_account_profile` and commands are."""
    return [_assign(tx, order, ctx) for order in orders]


@act(Permission.COMMAND, about=lambda tx, change: _whose(tx, change.account_id))
def change_accounts(tx: Transaction, changes: Sequence[AccountChange], ctx: Context) -> list[AccountOutcome]:
    """Change accounts, each by sending its one profile anew; refused as `assign_accounts` refuses."""
    return [_change(tx, one, ctx) for one in changes]


@act(Permission.COMMAND, about=_whose)
def remove_accounts(tx: Transaction, account_ids: Sequence[str], ctx: Context) -> list[RemovalOutcome]:
    """Remove accounts, each by removing its one profile. Their passwords and keys are forgotten here at once."""
    return [_remove(tx, one, ctx) for one in account_ids]


def _assign(tx: Transaction, order: AccountOrder, ctx: Context) -> AccountOutcome:
    stored = accounts.find_template(tx, order.template)
    if stored is None:
        return no_template(order.template)
    unfit = _unfit(order.variables, order.password)
    if unfit is not None:
        return unfit
    enrollment = _held(tx, order.channel_id)
    if isinstance(enrollment, Refusal):
        return enrollment
    here = installations.read(tx)
    assert here is not None, "the first start records the installation"
    account_id = ctx.new_id()
    account = Account(
        id=account_id,
        template=stored.template.name,
        channel_id=order.channel_id,
        variables=dict(order.variables),
        profile_identifier=f"{here.profile_identifier}.account.{account_id}",
        revision=1,
        created_at=ctx.now,
        changed_at=ctx.now,
        changed_by=ctx.actor.name,
    )
    account = with_password(account, order.password, ctx)
    if stored.template.has_certificate:
        renewed = _with_certificate(tx, account, stored.template, enrollment, order.key, ctx)
        if isinstance(renewed, Refusal):
            return renewed
        account = renewed
    sent = _send(tx, account, stored.template, enrollment, ctx, anyway=order.anyway)
    if not isinstance(sent, Refusal):
        accounts.add(tx, account)
        detail = {"account": account.id, "template": account.template}
        people.record_act(tx, ctx.actor, "account.assign", order.channel_id, detail, ctx.now)
    return sent


def _change(tx: Transaction, change: AccountChange, ctx: Context) -> AccountOutcome:
    account = _standing(tx, change.account_id)
    if isinstance(account, Refusal):
        return account
    enrollment = _held(tx, account.channel_id)
    if isinstance(enrollment, Refusal):
        return enrollment
    account = accounts.find(tx, account.id) or account  # as it is now that the channel is held
    stored = accounts.find_template(tx, account.template)
    assert stored is not None, "a template is kept while there are accounts of it"
    unfit = _unfit({**account.variables, **change.variables}, change.password)
    if unfit is not None:
        return unfit
    variables = {name: value for name, value in {**account.variables, **change.variables}.items() if value}
    changed = replace(
        account, variables=variables, revision=account.revision + 1, changed_at=ctx.now, changed_by=ctx.actor.name
    )
    if change.password is not None:
        changed = with_password(changed, change.password, ctx)
    if change.renews_certificate and not stored.template.has_certificate:
        return Refusal(
            RefusalCode.ACCOUNT_UNFIT, f"accounts of {account.template} have no certificates", "See its template."
        )
    if change.renews_certificate or (stored.template.has_certificate and changed.identity_sealed is None):
        renewed = _with_certificate(tx, changed, stored.template, enrollment, change.key, ctx)
        if isinstance(renewed, Refusal):
            return renewed
        changed = renewed
    sent = _send(tx, changed, stored.template, enrollment, ctx, anyway=change.anyway)
    if not isinstance(sent, Refusal):
        accounts.change(tx, changed)
        detail: people.AuditDetail = {
            "account": account.id,
            "variables": ", ".join(sorted(change.variables)),
            "password": change.password is not None,
            "certificate": change.renews_certificate,
        }
        people.record_act(tx, ctx.actor, "account.change", account.channel_id, detail, ctx.now)
    return sent


def _remove(tx: Transaction, account_id: str, ctx: Context) -> RemovalOutcome:
    account = _standing(tx, account_id)
    if isinstance(account, Refusal):
        return account
    tx.lock_rows([account.channel_id])
    command_uuid = None
    is_there = not isinstance(_held(tx, account.channel_id), Refusal)
    if is_there and installed_profiles.holding(tx, [account.channel_id], account.profile_identifier):
        order = ProfileRemovalOrder((account.channel_id,), account.profile_identifier)
        queued = remove_profiles(tx, [order], ctx)[0]
        if isinstance(queued, Refusal):
            return queued
        command_uuid = queued.command_uuid
    gone = replace(
        account,
        password_sealed=None,
        identity_sealed=None,
        changed_at=ctx.now,
        changed_by=ctx.actor.name,
        removed_at=ctx.now,
    )
    accounts.change(tx, gone)
    people.record_act(tx, ctx.actor, "account.remove", account.channel_id, {"account": account.id}, ctx.now)
    return AccountRemoved(account.id, account.channel_id, command_uuid)


def _send(
    tx: Transaction, account: Account, template: AccountTemplate, enrollment: Enrollment, ctx: Context, *, anyway: bool
) -> AccountOutcome:
    mobileconfig = make_account_profile(tx, account, template, enrollment, ctx)
    if isinstance(mobileconfig, Refusal):
        return mobileconfig
    is_secret = account.password_sealed is not None or account.identity_sealed is not None
    order = ProfileOrder((account.channel_id,), mobileconfig, is_secret, anyway, account.id)
    sent = install_profiles(tx, [order], ctx)[0]
    if not isinstance(sent, ProfileSent):
        return sent
    return AccountSent(
        account.id, account.channel_id, account.revision, sent.queued.command_uuid, account.profile_identifier
    )


def _with_certificate(
    tx: Transaction,
    account: Account,
    template: AccountTemplate,
    enrollment: Enrollment,
    key: RSAPrivateKey | None,
    ctx: Context,
) -> Account | Refusal:
    identity = issue_account_identity(tx, account, template, enrollment.channel, key, ctx)
    if isinstance(identity, Refusal):
        return identity
    return replace(
        account,
        identity_sealed=identity.sealed,
        certificate_der=identity.certificate_der,
        certificate_not_after=identity.not_after,
    )


def _held(tx: Transaction, channel_id: ChannelId) -> Enrollment | Refusal:
    """Hold a channel and read it. Refused when it is not enrolled, as commands to it are."""
    tx.lock_rows([channel_id])
    enrollment = enrollments.find(tx, [channel_id]).get(channel_id)
    if enrollment is None:
        return Refusal(RefusalCode.NOT_FOUND, f"no enrollment {channel_id} is known", "See `muster devices list`.")
    return enrollment


def _standing(tx: Transaction, account_id: str) -> Account | Refusal:
    account = accounts.find(tx, account_id)
    if account is None or account.removed_at is not None:
        return Refusal(RefusalCode.NOT_FOUND, f"there is no account {account_id[:80]}", "See `muster accounts list`.")
    return account


def _unfit(variables: Mapping[str, str], password: str | None) -> Refusal | None:
    """Tell what of that can't be kept, or None."""
    if len(variables) > MAX_VARIABLES:
        return Refusal(RefusalCode.TEMPLATE_UNFIT, f"an account has {MAX_VARIABLES} values of its own at most", "")
    for name, value in variables.items():
        refusal = check_name(name)
        if refusal is not None:
            return refusal
        if len(value) > MAX_VALUE_CHARACTERS or (value and not value.isprintable()):
            return Refusal(
                RefusalCode.TEMPLATE_UNFIT,
                f"{name} is longer than {MAX_VALUE_CHARACTERS} characters or holds some that can't be printed",
                "",
            )
    if password is not None and (not 0 < len(password) <= MAX_PASSWORD_CHARACTERS or not password.isprintable()):
        return Refusal(
            RefusalCode.PASSWORD_UNFIT, f"a password has 1 to {MAX_PASSWORD_CHARACTERS} characters that can be printed"
        )
    return None
