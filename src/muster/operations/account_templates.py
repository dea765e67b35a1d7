"""Templates of accounts are made, changed and forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from muster.domain.account_templates import AccountTemplate, check_template
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.permit import act
from muster.storage import accounts, people
from muster.storage.accounts import StoredTemplate
from muster.storage.engine import Transaction

LISTED = "`muster accounts template list` lists them."


@dataclass(frozen=True, slots=True)
class TemplateOrder:
    """A template to keep. *replaces*: in place of the one of its name, which must be there; else none may be."""

    template: AccountTemplate
    replaces: bool = False


TemplateOutcome: TypeAlias = AccountTemplate | Refusal


@act(Permission.COMMAND)
def keep_templates(tx: Transaction, orders: Sequence[TemplateOrder], ctx: Context) -> list[TemplateOutcome]:
    """Keep each of *orders*, in one act of the audit log each; refused when it is unfit, or the name is (not) taken.

    Accounts that were made from a template stay as they are until they are changed themselves; their kind stays.
    """
    return [_keep(tx, order, ctx) for order in orders]


@act(Permission.COMMAND)
def forget_templates(tx: Transaction, names: Sequence[str], ctx: Context) -> list[TemplateOutcome]:
    """Forget templates; refused while there are accounts that were made from them."""
    return [_forget(tx, name, ctx) for name in names]


def _keep(tx: Transaction, order: TemplateOrder, ctx: Context) -> TemplateOutcome:
    template = order.template
    refusal = check_template(template)
    if refusal is not None:
        return refusal
    tx.lock_name("account templates")
    former = accounts.find_template(tx, template.name)
    if former is None and order.replaces:
        return no_template(template.name)
    if former is not None and not order.replaces:
        return Refusal(
            RefusalCode.CONFLICT, f"there is a template {template.name} already", "Change it, or choose another name."
        )
    if former is not None and former.template.kind is not template.kind:
        return Refusal(
            RefusalCode.TEMPLATE_UNFIT,
            f"{template.name} is of kind {former.template.kind.value}, and its accounts stay so",
            "Make another template.",
        )
    accounts.keep_template(tx, StoredTemplate(template, ctx.now, ctx.actor.name))
    act = "account_template.create" if former is None else "account_template.change"
    people.record_act(tx, ctx.actor, act, template.name, {"kind": template.kind.value}, ctx.now)
    return template


def _forget(tx: Transaction, name: str, ctx: Context) -> TemplateOutcome:
    tx.lock_name("account templates")
    stored = accounts.find_template(tx, name)
    if stored is None:
        return no_template(name)
    made = len(accounts.of_template(tx, name))
    if made:
        return Refusal(
            RefusalCode.CONFLICT, f"{made} accounts are made from {name}", "Remove them with `muster accounts remove`."
        )
    accounts.forget_template(tx, name)
    people.record_act(tx, ctx.actor, "account_template.remove", name, {}, ctx.now)
    return stored.template


def no_template(name: str) -> Refusal:
    """Say that there is no template of that name."""
    return Refusal(RefusalCode.NOT_FOUND, f"there is no template {name[:80]}", LISTED)
