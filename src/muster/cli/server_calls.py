"""A server elsewhere as a command asks it: by its interface for programs, what is answered read back as what it was."""

import http.client
import ipaddress
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import (
    BaseHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)
from uuid import uuid4

from muster.cli.acting import ServerAddress
from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.domain.errors import Refusal, RefusalCode
from muster.edges.api.reading_back import Unreadable, read_back
from muster.edges.api.writing import as_json

if TYPE_CHECKING:
    from muster.cli.server_acts import Asked

T = TypeVar("T")

ROOT: Final = "/api/v1"
WAIT_SECONDS: Final = 120
"""For an answer to begin, and between its parts: a fleet of 100,000 is counted within seconds."""
LARGEST_ANSWER: Final = 256 * 1024 * 1024
"""Bytes that are read of one answer: ten times the largest list there is."""
LARGEST_TOKEN: Final = 4096
PAGE: Final = 500
ABOUT: Final = "/me"
"""Tells who asks, and which version answers."""
_CODES: Final[Mapping[int, ExitCode]] = {
    400: ExitCode.USAGE,
    401: ExitCode.REFUSED,
    403: ExitCode.REFUSED,
    404: ExitCode.ABSENT,
    409: ExitCode.CONFLICT,
    413: ExitCode.USAGE,
    422: ExitCode.REFUSED,
    429: ExitCode.UNAVAILABLE,
    502: ExitCode.UNAVAILABLE,
    503: ExitCode.UNAVAILABLE,
    504: ExitCode.UNAVAILABLE,
}


class _AnswerLost(CommandFailed):
    """An act was sent, and nothing came back: whether it was done isn't known."""


class _NoRedirect(HTTPRedirectHandler):
    """Follows nobody: the token would be shown to whoever it leads to."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


class Server:
    """A server elsewhere. Whatever keeps it from answering well is raised as CommandFailed, a refusal as
    CommandRefused, as if it were refused here."""

    def __init__(self, address: ServerAddress) -> None:
        self._url = _origin(address)
        self._token = _token(address)
        self._opener = _opener(self._url, address.ca_file)

    @property
    def url(self) -> str:
        """Return where it is."""
        return self._url

    def get(self, path: str, kind: type[T], /, **asked: object) -> T:
        """Fetch the *kind* that is at *path*; *asked* are parameters, absent where they are None."""
        return self._read(kind, self._ask("GET", path, asked))

    def find(self, path: str, kind: type[T], /, **asked: object) -> T | None:
        """Fetch what is at *path*; None where the server knows nothing of that name."""
        try:
            return self.get(path, kind, **asked)
        except CommandRefused as error:
            if error.code is ExitCode.ABSENT:
                return None
            raise

    def send(self, method: str, path: str, kind: type[T], body: object = None, /, **asked: object) -> T:
        """Have something done, and read the *kind* that is answered."""
        return self._read(kind, self._ask(method, path, asked, body))

    def outcome(self, order: "Asked", kind: type[T]) -> T:
        """Have something done, and read its outcome.

        Where its answer is lost on the way, it is asked for once more if its address takes a key, under which it is
        done once. Where nothing is answered, the outcome is None, whatever its kind: who asks says nothing of it.
        """
        key = str(uuid4()) if order.is_once else None
        try:
            said = self._ask(order.method, order.path, {}, order.body, key)
        except _AnswerLost as lost:
            if key is None:
                raise
            try:
                said = self._ask(order.method, order.path, {}, order.body, key)
            except CommandRefused:
                raise
            except CommandFailed:
                raise lost from None  # the first may have been done, whatever became of the second
        if isinstance(said, dict):
            said = {order.renamed.get(name, name): one for name, one in said.items()}
            said = said if order.member is None else said.get(order.member)
        if said is None:
            return None  # type: ignore[return-value] # as the docstring says
        return self._read(kind, said)

    def do(self, method: str, path: str, body: object = None, /, **asked: object) -> None:
        """Have something done of which nothing is answered."""
        self._ask(method, path, asked, body)

    def pages(self, path: str, kind: type[T], /, **asked: object) -> Iterator[T]:
        """Fetch all rows of a list that comes in pages."""
        cursor: object = None
        while True:
            page = self._ask("GET", path, {"limit": PAGE, **asked, "cursor": cursor})
            if not isinstance(page, dict) or not isinstance(page.get("items"), list):
                raise self._misread("it is no page of a list")
            for one in page["items"]:
                yield self._read(kind, one)
            cursor = page.get("next")
            if cursor is None:
                return

    def lines(self, path: str, /, **asked: object) -> Iterator[str]:
        """Fetch what is sent line by line; each with its end."""
        with self._opened("GET", path, asked, None) as reply:
            for line in reply:
                yield line.decode("utf-8", "replace")

    def _read(self, kind: type[T], value: object) -> T:
        try:
            return read_back(kind, value)
        except Unreadable as error:
            raise self._misread(str(error)) from error

    def _misread(self, why: str) -> CommandFailed:
        return CommandFailed(
            f"what {self._url} answers is not understood here: {why}",
            remedy=f"{self._versions()} The command line of the server's own version understands it.",
        )

    def _versions(self) -> str:
        """Tell which versions speak to one another, so far as that can be found out."""
        from importlib.metadata import version  # noqa: PLC0415 - for those alone who have to know

        try:
            said = self._ask("GET", ABOUT, {})
        except CommandFailed:
            said = None
        theirs = said.get("version") if isinstance(said, dict) else None
        return f"The server is Muster {theirs or 'of an older version'}, and this is {version('muster-mdm')}."

    def _ask(
        self, method: str, path: str, asked: Mapping[str, object], body: object = None, key: str | None = None
    ) -> object:
        with self._opened(method, path, asked, body, key) as reply:
            said = reply.read(LARGEST_ANSWER + 1)
            if reply.length and len(said) <= LARGEST_ANSWER:
                raise http.client.IncompleteRead(said, reply.length)  # reading a part says nothing of the rest
        if len(said) > LARGEST_ANSWER:
            raise CommandFailed(f"{self._url} answers more than {LARGEST_ANSWER:,} bytes")
        if not said:
            return None
        try:
            return json.loads(said)
        except ValueError as error:
            raise self._stranger() from error

    @contextmanager
    def _opened(
        self, method: str, path: str, asked: Mapping[str, object], body: object, key: str | None = None
    ) -> Iterator[Any]:
        named = {name: _text(one) for name, one in asked.items() if one is not None}
        address = f"{self._url}{ROOT}{path}" + (f"?{urlencode(named)}" if named else "")
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        octets = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            octets = as_json(body)
        request = Request(address, octets, headers, method=method)  # noqa: S310 - http and https alone, see _origin
        try:
            with self._opener.open(request, timeout=WAIT_SECONDS) as reply:
                yield reply
        except HTTPError as error:
            raise self._refused(error, path) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._unreached(error, is_act=method != "GET") from error

    def _refused(self, error: HTTPError, path: str) -> CommandFailed:
        with error:
            told = _problem(error)
        if told is None:
            return self._stranger(error.code)
        code, detail, remedy = (str(told.get(name, "")) for name in ("code", "detail", "remedy"))
        if code in {"nothing_here", "method_unknown"}:
            versions = "" if path == ABOUT else f"{self._versions()} "  # it was asked for these
            return CommandFailed(
                f"the server at {self._url} doesn't know {path}",
                remedy=f"{versions}Run the command on the server itself, or bring both to one version.",
            )
        if code == "credentials_missing":
            return CommandFailed(
                f"{self._url} does not take the token: it is wrong, has ended, or was revoked",
                remedy="An owner makes another: `muster tokens create NAME --role ROLE`. Give it by --token-file.",
                code=ExitCode.REFUSED,
            )
        if code in set(RefusalCode):
            return CommandRefused(Refusal(RefusalCode(code), detail, remedy))
        if error.code == http.client.TOO_MANY_REQUESTS:
            wait = error.headers.get("Retry-After", "")
            remedy = f"Try again in {wait} s." if wait.isdecimal() else "Try again in a minute."
        exit_code = _CODES.get(error.code, ExitCode.FAULT)
        return CommandFailed(f"{self._url}: {detail}", remedy=remedy, code=exit_code)

    def _stranger(self, status: int | None = None) -> CommandFailed:
        said = "" if status is None else f" (status {status})"
        return CommandFailed(
            f"what answers at {self._url} is no Muster, or something before it answers in its place{said}",
            remedy=f"See that {self._url}{ROOT}/openapi.json is there, and nothing before it that redirects.",
            code=_CODES.get(status or 0, ExitCode.FAULT),
        )

    def _unreached(self, error: OSError | http.client.HTTPException, *, is_act: bool) -> CommandFailed:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CommandFailed(
                f"the certificate of {self._url} is not trusted here: {cause.verify_message}",
                remedy="Name its authority: --ca-file FILE (PEM), or MUSTER_CA_FILE.",
                code=ExitCode.UNAVAILABLE,
            )
        if isinstance(cause, ssl.SSLError):
            why, remedy = f"TLS fails ({cause.reason or cause})", "See that the port speaks TLS."
        elif isinstance(cause, TimeoutError):
            why, remedy = f"it says nothing for {WAIT_SECONDS} s", "See that the server runs."
        elif isinstance(cause, http.client.IncompleteRead):
            why, remedy = "its answer broke off", "See that the server runs."
        else:
            why = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
            remedy = "See that the server runs, and that its name and port can be reached from here."
        told = CommandFailed
        if is_act and not isinstance(cause, ConnectionRefusedError):
            told, remedy = _AnswerLost, f"{remedy} It may have been done: look before you repeat it."
        return told(f"{self._url} can't be reached: {why}", remedy=remedy, code=ExitCode.UNAVAILABLE)


def at(*parts: str) -> str:
    """Return the path of these parts; a slash within one is none between two."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(int(value.total_seconds())) if isinstance(value, timedelta) else str(value)


def _problem(error: HTTPError) -> dict[str, object] | None:
    if error.headers.get_content_type() != "application/problem+json":
        return None
    try:
        told = json.loads(error.read(1024 * 1024))
    except (ValueError, OSError, http.client.HTTPException):
        return None
    return told if isinstance(told, dict) else None


def _origin(address: ServerAddress) -> str:
    """Return the address without what may stand behind it. Raises CommandFailed for one that isn't asked."""
    url = address.url.strip().rstrip("/").removesuffix(ROOT)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    is_plain = parts.scheme == "http"
    if (
        not host
        or parts.scheme not in ("http", "https")
        or parts.username
        or parts.path
        or parts.query
        or parts.fragment
    ):
        raise CommandFailed(
            f"{address.url} is no server's address", remedy="As in https://mdm.example.com.", code=ExitCode.USAGE
        )
    if is_plain and not address.allows_plain and not _is_loopback(host):
        raise CommandFailed(
            f"{url} is not encrypted: whoever listens on the way learns the token",
            remedy="Give the https:// address; --allow-http where the way is safe.",
            code=ExitCode.USAGE,
        )
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token(address: ServerAddress) -> str:
    """Return the token that was given. Raises CommandFailed where there is none, or a file that others can read."""
    text = address.token
    if text is None and address.token_file is not None:
        text = _read_token(address.token_file)
    token = (text or "").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CommandFailed(
            f"no token is given for {address.url}" if not token else "the token that is given is none",
            remedy="Give it by --token-file FILE, MUSTER_TOKEN_FILE or MUSTER_TOKEN; `muster tokens create` makes one.",
            code=ExitCode.USAGE,
        )
    return token


def _read_token(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode, said = path.stat().st_mode, file.read(LARGEST_TOKEN)
    except OSError as error:
        raise CommandFailed(f"{path} can't be read: {error.strerror}", code=ExitCode.USAGE) from error
    if mode & 0o077:
        raise CommandFailed(
            f"others than you can read the token in {path}", remedy=f"chmod 600 {path}", code=ExitCode.USAGE
        )
    return said.decode("utf-8", "replace")


def _opener(url: str, ca_file: Path | None) -> OpenerDirector:
    if urlsplit(url).scheme == "http":
        return _direct(url, [_NoRedirect()])
    try:
        context = ssl.create_default_context()
        if ca_file is not None:
            context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as error:
        raise CommandFailed(
            f"{ca_file} holds no certificates that can be read: {error.strerror or error}",
            remedy="Name a file of certificates in PEM.",
            code=ExitCode.USAGE,
        ) from error
    return _direct(url, [_NoRedirect(), HTTPSHandler(context=context)])


def _direct(url: str, handlers: list[BaseHandler]) -> OpenerDirector:
    """Make what asks *url*; no proxy is asked for this machine's own addresses."""
    if _is_loopback(urlsplit(url).hostname or ""):
        return build_opener(ProxyHandler({}), *handlers)
    return build_opener(*handlers)
