"""`muster accounts template`: what accounts of one sort have in common."""

from typing import Annotated

import typer

from muster.cli.assignments import read_assignments
from muster.cli.connection import connect
from muster.cli.errors import CommandRefused
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile
from muster.cli.output import ago, print_json, print_table
from muster.domain.account_templates import AccountKind, AccountTemplate, Setting, parse_setting
from muster.domain.errors import Refusal
from muster.operations.account_templates import TemplateOrder, forget_templates, keep_templates, no_template
from muster.storage import accounts

app = typer.Typer(help="Templates of accounts.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The template's name.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A key of the payload by Apple's name, those in dictionaries with dots (IKEv2.RemoteAddress); repeatable.",
    ),
]
DisplayName = Annotated[str | None, typer.Option("--display-name", help="What users see; may hold ${name}.")]
CertificateName = Annotated[
    str | None, typer.Option("--certificate-name", help="The certificates' subject; may hold ${name}.")
]


@app.command("create")
def create(
    name: Name,
    kind: Annotated[AccountKind, typer.Option("--kind", help="What kind of account it is.")],
    settings: Settings = None,
    display_name: DisplayName = None,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="Issue each account a certificate of its own.")
    ] = False,
    certificate_name: CertificateName = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a template.

    Texts may hold ${name}, which stands for a value: device.id, device.serial,
    device.name, device.model, device.os_version, user.short_name,
    user.long_name, user.account, and whatever is given to an account with
    --set. $$ is a dollar sign. Passwords are never in a template.
    """
    template = AccountTemplate(name, kind, display_name or name, _settings(kind, settings), certificate)
    if certificate_name is not None:
        template = AccountTemplate(
            name, kind, template.display_name, template.settings, certificate, certificate_name=certificate_name
        )
    with connect(data_dir, database, key_ring) as data:
        made = data.run(keep_templates, TemplateOrder(template))
    _tell(made, f"There is a template {made.name} now.", as_json=as_json)


@app.command("change")
def change(
    name: Name,
    settings: Settings = None,
    unset: Annotated[list[str] | None, typer.Option("--unset", metavar="KEY", help="Leave a key out.")] = None,
    display_name: DisplayName = None,
    certificate_name: CertificateName = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Change a template. Its accounts stay as they are until `muster accounts change`."""
    with connect(data_dir, database, key_ring) as data:
        stored = data.view(lambda tx: accounts.find_template(tx, name))
        if stored is None:
            raise CommandRefused(no_template(name))
        former = stored.template
        kept = {key: value for key, value in former.settings.items() if key not in (unset or ())}
        template = AccountTemplate(
            name,
            former.kind,
            display_name or former.display_name,
            {**kept, **_settings(former.kind, settings)},
            former.has_certificate,
            certificate_name or former.certificate_name,
        )
        made = data.run(keep_templates, TemplateOrder(template, replaces=True))
    _tell(made, f"{made.name} is changed; its accounts are when you change them.", as_json=as_json)


@app.command("list")
def list_(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List the templates."""
    with connect(data_dir, database, key_ring) as data:
        stored = data.view(accounts.all_templates)
        now = data.now
    if as_json:
        print_json(stored)
        return
    if not stored:
        print("No templates. `muster accounts template create` makes one.")
        return
    print_table(
        ("NAME", "KIND", "USERS SEE", "CERTIFICATE", "CHANGED", "BY"),
        [
            (
                one.template.name,
                one.template.kind.value,
                one.template.display_name,
                "yes" if one.template.has_certificate else "no",
                ago(one.changed_at, now),
                one.changed_by,
            )
            for one in stored
        ],
    )


@app.command("show")
def show(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one template."""
    with connect(data_dir, database, key_ring) as data:
        stored = data.view(lambda tx: accounts.find_template(tx, name))
        now = data.now
    if stored is None:
        raise CommandRefused(no_template(name))
    if as_json:
        print_json(stored)
        return
    one = stored.template
    print(
        f"{one.name}: {one.kind.value}, users see {one.display_name!r}; {stored.changed_by}, "
        f"{ago(stored.changed_at, now)}"
    )
    if one.has_certificate:
        print(f"Each has a certificate for {one.certificate_name}.")
    print_table(("KEY", "VALUE"), sorted(one.settings.items()))


@app.command("remove")
def remove(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove a template that no account is made from."""
    with connect(data_dir, database, key_ring) as data:
        gone = data.run(forget_templates, name)
    _tell(gone, f"There is no template {gone.name} any more.", as_json=as_json)


def _settings(kind: AccountKind, assignments: list[str] | None) -> dict[str, Setting]:
    settings: dict[str, Setting] = {}
    for key, text in read_assignments(assignments).items():
        value = parse_setting(kind, key, text)
        if isinstance(value, Refusal):
            raise CommandRefused(value)
        settings[key] = value
    return settings


def _tell(template: AccountTemplate, words: str, *, as_json: bool) -> None:
    if as_json:
        print_json(template)
    else:
        print(words)
