"""`muster push-cert`: the certificate that lets the server wake devices, from its request to its renewal."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, Office, open_office
from muster.cli.output import print_json, print_table
from muster.crypto.certificate_files import MAX_FILE_OCTETS
from muster.domain.push_certificate_refusals import PORTAL, day
from muster.domain.push_certificates import Deliberately
from muster.operations.request_push_certificate import (
    MadeRequest,
    RequestOrder,
    TopicToRenew,
    request_push_certificates,
)
from muster.operations.upload_push_certificate import (
    UploadedPushCertificate,
    upload_push_certificates,
)
from muster.operations.upload_vendor_certificate import UploadedVendorCertificate, upload_vendor_certificates
from muster.operations.views.push_certificates import (
    PushCertificateOverview,
    PushCertificateRow,
    TopicRow,
    list_push_certificates,
    what_changed,
)
from muster.storage.push_certificates import RequestPurpose

app = typer.Typer(help="Push certificates, which let the server wake devices.", no_args_is_help=True)
vendor = typer.Typer(help="The MDM vendor certificate, which signs requests.", no_args_is_help=True)
app.add_typer(vendor, name="vendor")

CommonName = Annotated[
    str | None, typer.Option("--common-name", help="Name in the request; else the organization's, as set.")
]
Email = Annotated[str | None, typer.Option("--email", help="E-mail address in the request.")]
Country = Annotated[str | None, typer.Option("--country", help="Country in the request: two letters, as DE.")]
Out = Annotated[Path | None, typer.Option("--out", help="New file to write it to; else standard output.")]


@app.callback()
def _group() -> None:
    """Push certificates."""


@vendor.callback()
def _vendor_group() -> None:
    """Hold the MDM vendor certificate, which signs requests for push certificates."""


@app.command("request")
def request(
    common_name: CommonName = None,
    email: Email = None,
    country: Country = None,
    renew: Annotated[str | None, typer.Option("--renew", help="The topic to renew, where several are in use.")] = None,
    out: Out = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, which stays here, and the request for a push certificate: for the first one, and for each renewal.

    With an MDM vendor certificate in use the request is signed by it, and is what Apple's portal takes. Without one it
    is a plain request, which an MDM vendor has to sign.
    """
    _check_new(out)
    with open_office(data_dir, database, key_ring) as data:
        made = _request(data, RequestPurpose.PUSH, common_name, email, country, renew)
    if as_json:
        if out is not None:
            out.write_text(made.signed_request or made.request_pem)
        print_json(made)
        return
    _write(made.signed_request or made.request_pem, out)
    print(*_next_steps(made), sep="\n", file=sys.stderr)


@app.command("upload")
def upload(
    cert: Annotated[Path, typer.Option("--cert", help="File from Apple's Push Certificates Portal, PEM or DER.")],
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Its private key, not encrypted; not needed for a request that was made here."),
    ] = None,
    replace_topic: Annotated[
        bool,
        typer.Option(
            "--replace-topic",
            help="Another topic is meant: new enrollments get it, and who is enrolled will have to enroll again.",
        ),
    ] = False,
    allow_older: Annotated[
        bool, typer.Option("--allow-older", help="It is meant to end before the one in use for the same topic.")
    ] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Put a push certificate into use, on every node at once; a wrong one is refused, and nothing changes then."""
    choices = {Deliberately.REPLACE_TOPIC: replace_topic, Deliberately.ALLOW_OLDER: allow_older}
    meant = frozenset(one for one, is_meant in choices.items() if is_meant)
    uploaded = UploadedPushCertificate(_read(cert), None if key is None else _read(key), meant)
    with open_office(data_dir, database, key_ring) as data:
        accepted = data.run(upload_push_certificates, uploaded)
    if as_json:
        print_json(accepted)
        return
    print(f"In use for {accepted.topic} until {day(accepted.not_after)}.")
    for line in what_changed(accepted):
        print(line, file=sys.stderr)


@app.command("list")
def list_(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Show each topic with its certificates and who listens, the requests that wait, and the vendor certificate."""
    with open_office(data_dir, database, key_ring) as data:
        now = data.now
        overview = data.ask(
            lambda here: here.view(lambda tx: list_push_certificates(tx, now)),
            lambda there: there.get("/push-certificates", PushCertificateOverview),
        )
    if as_json:
        print_json(overview)
        return
    _print_overview(overview)


app.command("show", hidden=True, help="The same as `list`.")(list_)


@vendor.command("request")
def vendor_request(
    common_name: CommonName = None,
    email: Email = None,
    country: Country = None,
    out: Out = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, which stays here, and the request for an MDM vendor certificate: for Apple's developer account."""
    _check_new(out)
    with open_office(data_dir, database, key_ring) as data:
        made = _request(data, RequestPurpose.VENDOR, common_name, email, country, None)
    if as_json:
        if out is not None:
            out.write_text(made.request_pem)
        print_json(made)
        return
    _write(made.request_pem, out)
    said = (
        "Its key stays here. In Apple's developer account make an MDM CSR certificate out of this request, then:\n"
        "  muster push-cert vendor upload --cert FILE --chain FILE"
    )
    print(said, file=sys.stderr)


@vendor.command("upload")
def vendor_upload(
    cert: Annotated[Path, typer.Option("--cert", help="The MDM vendor certificate, PEM or DER.")],
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Its private key, not encrypted; not needed for a request that was made here."),
    ] = None,
    chain: Annotated[
        Path | None, typer.Option("--chain", help="Authorities above it, PEM or DER; Apple's root is known.")
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Sign requests for push certificates by this MDM vendor certificate from now on."""
    uploaded = UploadedVendorCertificate(
        _read(cert), None if key is None else _read(key), None if chain is None else _read(chain)
    )
    with open_office(data_dir, database, key_ring) as data:
        accepted = data.run(upload_vendor_certificates, uploaded)
    if as_json:
        print_json(accepted)
        return
    print(f"{accepted.subject} signs requests until {day(accepted.not_after)}.")
    if not accepted.is_of_apple:
        print("Its root is not Apple's: Apple's portal will not take what it signs.", file=sys.stderr)


def _request(
    data: Office,
    purpose: RequestPurpose,
    common_name: str | None,
    email: str | None,
    country: str | None,
    renews: str | None,
) -> MadeRequest:
    body = {"purpose": purpose, "common_name": common_name, "email": email, "country": country, "renews": renews}
    return data.ask(
        lambda here: here.run(
            request_push_certificates,
            RequestOrder(purpose, common_name or here.settings.organization or "Muster", email, country, renews),
        ),
        lambda there: there.send("POST", "/push-certificates/requests", MadeRequest, body),
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_OCTETS + 1)  # one more than is taken, so that it is refused for its size
    except OSError as error:
        raise CommandFailed(f"{path} can't be read: {error.strerror}", code=ExitCode.USAGE) from error


def _check_new(path: Path | None) -> None:
    """See that *path* can be written before a key is made for what it will hold."""
    if path is None:
        return
    if path.exists():
        raise CommandFailed(f"{path} exists already", remedy="Name a new file.", code=ExitCode.USAGE)
    if not path.parent.is_dir():
        raise CommandFailed(f"there is no directory {path.parent}", remedy="Make it first.", code=ExitCode.USAGE)


def _write(text: str, path: Path | None) -> None:
    if path is None:
        sys.stdout.write(text)
    else:
        path.write_text(text)


def _next_steps(made: MadeRequest) -> list[str]:
    """Say what to do with the request."""
    steps = ["Its key stays here, sealed."]
    if made.signed_request is None and made.vendor_not_after is not None:
        steps.append(f"The MDM vendor certificate ended on {day(made.vendor_not_after)}, so the request is not signed.")
    if made.signed_request is None:
        steps.append("1. Have an MDM vendor sign this request: Apple's portal takes only what one has signed.")
        steps.append(
            "   (With a vendor certificate of your own: `muster push-cert vendor upload`, then request again.)"
        )
    else:
        steps.append("1. This is the request as Apple's portal takes it, signed by your MDM vendor certificate.")
    if made.renew:
        steps.append(f"2. At {PORTAL}, with the same Apple Account as before, renew the entry of")
        steps += [f"     {_to_renew(one)}" for one in made.renew]
        steps.append("   Never make a new one: devices that are enrolled would have to enroll again.")
    else:
        steps.append(f"2. At {PORTAL}, upload it with an Apple Account that your organization keeps.")
    return [*steps, "3. Download the certificate, then: muster push-cert upload --cert FILE"]


def _to_renew(one: TopicToRenew) -> str:
    enrollments = "1 enrollment" if one.enrollments == 1 else f"{one.enrollments:,} enrollments"
    return f"{one.topic}, which ends on {day(one.not_after)} ({enrollments})"


def _print_overview(overview: PushCertificateOverview) -> None:
    if overview.topics:
        columns = ("TOPIC", "STATE", "ENDS", "DAYS LEFT", "ENROLLMENTS", "SHA-256", "UPLOADED", "BY")
        print_table(columns, [line for topic in overview.topics for line in _lines(topic)])
    else:
        print("There is no push certificate yet: begin with `muster push-cert request`.")
    if overview.pending_requests:
        print("\nRequests that no certificate came for yet:")
        rows = [
            (one.id, one.purpose, f"{one.created_at:%Y-%m-%d}", one.created_by) for one in overview.pending_requests
        ]
        print_table(("ID", "FOR", "MADE", "BY"), rows)
    if overview.vendor is not None:
        one = overview.vendor
        left = "has ended" if one.days_left == 0 else f"{one.days_left} days left"
        print(f"\nMDM vendor certificate {one.fingerprint.hex()[:16]}: until {day(one.not_after)} ({left}).")


def _lines(topic: TopicRow) -> list[tuple[object, ...]]:
    if topic.in_use is None:
        return [(topic.topic, "missing", "", "", topic.enrollments, "", "", "")]
    state = "expired" if topic.in_use.days_left == 0 else "in use"
    lines = [_line(topic, topic.in_use, f"{state}, for new" if topic.is_of_new else state, topic.enrollments)]
    return lines + [_line(topic, former, "former", "") for former in topic.former]


def _line(topic: TopicRow, row: PushCertificateRow, state: str, enrollments: object) -> tuple[object, ...]:
    sha256, uploaded = row.fingerprint.hex()[:16], f"{row.uploaded_at:%Y-%m-%d}"
    return topic.topic, state, day(row.not_after), row.days_left, enrollments, sha256, uploaded, row.uploaded_by
