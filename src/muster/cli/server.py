"""`muster init`, `serve`, `check`, `migrate`: the server itself."""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from muster.bootstrap.data_directory import Surroundings, bring_schema_up, initialise, open_engine, read_key_ring
from muster.bootstrap.journaling import open_journal
from muster.bootstrap.pem_files import check_pem_files
from muster.bootstrap.runner import EngineRunner, make_context
from muster.cli.admins import OWNER
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile
from muster.cli.output import print_json
from muster.domain.access import SERVER
from muster.operations.first_start import lay_foundation
from muster.operations.sign_in import create_sign_in_links
from muster.settings import Settings, advice, read_settings
from muster.storage.people import count_administrators

PublicUrl = Annotated[str | None, typer.Option("--public-url", help="URL at which devices reach this server.")]


def register(app: typer.Typer) -> None:
    """Add these commands to *app*."""
    app.command("init")(init)
    app.command("serve")(serve)
    app.command("check")(check)
    app.command("migrate")(migrate)


def init(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    public_url: PublicUrl = None,
) -> None:
    """Make the key ring, the schema, the certification authority and a sign-in link. Safe to run again."""
    flags = {"data_dir": data_dir, "database": database, "key_ring": key_ring, "public_url": public_url}
    settings = read_settings(flags)
    around = Surroundings()
    initialise(settings, around)
    ring = read_key_ring(settings.key_ring_path)
    engine = open_engine(settings, connections=1)
    writing = ThreadPoolExecutor(1, "journal")
    journal = open_journal(settings, around, ring, writing, part=f"-cli-{os.getpid()}")
    try:
        runner = EngineRunner(engine, None, make_context(settings, around, ring), journal=journal)
        foundation = runner.write_now(lay_foundation, [settings.organization])[0]
        print(f"Ready: installation {foundation.installation.id} in {settings.data_dir}.", file=sys.stderr)
        if runner.read_now(count_administrators) == 0:
            link = runner.write_now(create_sign_in_links, [OWNER], SERVER)[0]
            print(f"{settings.effective_public_url}/sign-in/{link.token}")
            print("The link above signs the first administrator in, once, within 24 hours.", file=sys.stderr)
    finally:
        journal.close()
        writing.shutdown()
        engine.close()


def serve(
    data_dir: DataDir = None,
    listen: Annotated[str | None, typer.Option("--listen", help="HOST:PORT to listen on.")] = None,
    public_url: PublicUrl = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes; more than one needs PostgreSQL.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option("--tls-certificate", help="PEM chain to serve TLS.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="PEM key of the certificate.")] = None,
    log_format: Annotated[str | None, typer.Option("--log-format", help="json or text.")] = None,
    log_level: Annotated[str | None, typer.Option("--log-level", help="debug, info, warning or error.")] = None,
) -> int:
    """Serve devices and administrators until stopped."""
    settings = read_settings(
        {
            "data_dir": data_dir,
            "listen": listen,
            "public_url": public_url,
            "database": database,
            "key_ring": key_ring,
            "workers": workers,
            "tls_certificate": tls_certificate,
            "tls_key": tls_key,
            "log_format": log_format,
            "log_level": log_level,
        }
    )
    check_pem_files(settings)
    from muster.bootstrap import serving  # noqa: PLC0415 - the server's libraries are slow to import for other commands

    try:
        bound = serving.listen(settings)
    except OSError as error:
        raise CommandFailed(
            f"can't listen on {settings.listen}: {error.strerror or error}",
            remedy="Choose another address with --listen HOST:PORT.",
            code=ExitCode.UNAVAILABLE,
        ) from error
    with bound:
        if settings.listen_port == 0:
            settings = settings.model_copy(
                update={"listen": f"{settings.listen.rpartition(':')[0]}:{bound.getsockname()[1]}"}
            )
        print(f"Muster serves {settings.effective_public_url} (listening on {settings.listen})", file=sys.stderr)
        _advise(settings)
        try:
            return serving.serve(settings, bound)
        except serving.AlreadyServed as error:
            raise CommandFailed(str(error), code=ExitCode.CONFLICT) from error


def _advise(settings: Settings) -> None:
    for line in advice(settings):
        print(f"muster: note: {line}", file=sys.stderr)


def check(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Check the settings and the files they name, and print what will be used, secrets masked."""
    settings = read_settings({"data_dir": data_dir, "database": database, "key_ring": key_ring})
    used = _used(settings)
    if as_json:
        print_json(used)
    else:
        width = max(len(name) for name in used)
        for name, value in used.items():
            print(f"{name:<{width}}  {_shown(value)}")
    sys.stdout.flush()  # what is wrong comes last
    _advise(settings)
    check_pem_files(settings)
    if settings.key_ring_path.exists():
        read_key_ring(settings.key_ring_path)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "-"
    return "-" if value is None or value == "" else str(value)


def _used(settings: Settings) -> dict[str, Any]:
    used = settings.model_dump(mode="json")
    if settings.database is not None:
        used["database"] = _masked(settings.database.get_secret_value())
    if settings.apns_proxy is not None:
        used["apns_proxy"] = _masked(settings.apns_proxy)
    used["key_ring"] = str(settings.key_ring_path)
    used["public_url"] = settings.effective_public_url
    return used


def _masked(url: str) -> str:
    """Replace the passwords in a URL, those in its query too (libpq takes them there)."""
    scheme, separator, rest = url.rpartition("://")
    credentials, at, host = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    host = re.sub(r"(?<=password=)[^&]*", "***", host)
    return f"{scheme}{separator}{user}{':***' if colon else ''}{at}{host}"


def migrate(data_dir: DataDir = None, database: Database = None, key_ring: KeyRingFile = None) -> None:
    """Bring the database's schema to this version; an embedded database is backed up first."""
    settings = read_settings({"data_dir": data_dir, "database": database, "key_ring": key_ring})
    if settings.database is None and not settings.database_path.exists():
        raise CommandFailed(
            f"there is no Muster database in {settings.data_dir}",
            remedy="`muster init` makes one.",
            code=ExitCode.ABSENT,
        )
    applied = bring_schema_up(settings, Surroundings())
    print(f"Applied {', '.join(applied)}." if applied else "The schema is up to date.")
