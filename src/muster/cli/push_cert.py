"""`muster push-cert`: the certificate that lets the server wake devices."""

from pathlib import Path
from typing import Annotated

import typer

from muster.cli.connection import AsJson, Database, DataDir, KeyRingFile, connect
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.output import print_json
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates

app = typer.Typer(help="Push certificates.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Push certificates."""


@app.command("upload")
def upload(
    cert: Annotated[Path, typer.Option("--cert", help="PEM file from Apple's Push Certificates Portal.")],
    key: Annotated[Path, typer.Option("--key", help="Its private key, PEM, not encrypted.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Put a push certificate into use, on every node at once."""
    upload = UploadedPushCertificate(_read(cert), _read(key))
    with connect(data_dir, database, key_ring) as data:
        accepted = data.run(upload_push_certificates, upload)
    if as_json:
        print_json(accepted)
        return
    print(f"In use for {accepted.topic} until {accepted.not_after:%Y-%m-%d}.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{path} can't be read: {error.strerror}", code=ExitCode.USAGE) from error
