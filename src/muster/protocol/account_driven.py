"""Account-driven enrollment before the profile: where a user's server is, and how a user signs in to it on the web.

Sources: Apple, "Implementing the simple authentication user-enrollment flow", "Onboarding users with account sign-in",
"Discover Authentication Servers"; RFC 6750 section 2.1 (Bearer), RFC 9110 section 11.6.1 (WWW-Authenticate).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from muster.protocol.errors import MalformedMessage
from muster.protocol.fields import optional_array, required_text
from muster.protocol.identifiers import MAX_USER_NAME_CHARACTERS, read_identifier
from muster.protocol.plist import PlistValue

WELL_KNOWN_PATH: Final = "/.well-known/com.apple.remotemanagement"
DISCOVERY_MEDIA_TYPE: Final = "application/json"

MAX_DISCOVERY_BYTES: Final = 64 * 1024
"""Of a document that is read; it holds one server, two short texts."""

MAX_TOKEN_CHARACTERS: Final = 4096
"""Of a bearer token. Ours have 32; those of identity providers reach some thousand."""

MAX_HEADER_CHARACTERS: Final = 8192
"""Of Authorization and WWW-Authenticate; many servers in front pass no longer lines."""

_RESULTS: Final = "apple-remotemanagement-user-login://authentication-results?access-token="
_URL: Final = re.compile(r"https://[!#-\[\]-~]+")  # printable ASCII but for the quote and backslash of quoted strings
_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)
_AS_WEB: Final = re.compile(r'\bmethod *= *"apple-as-web"')
_URL_PARAMETER: Final = re.compile(r'\burl *= *"([^"\\]*)"')
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]+")


class ServiceVersion(StrEnum):
    """What a server offers to a user: managing the user's own device, or the whole device."""

    BYOD = "mdm-byod"
    ADDE = "mdm-adde"


class ModelFamily(StrEnum):
    """What kind of device asks, in Apple's words."""

    IPHONE = "iPhone"
    IPAD = "iPad"
    MAC = "Mac"
    APPLE_TV = "AppleTV"
    VISION = "RealityDevice"
    WATCH = "Watch"


@dataclass(frozen=True, slots=True)
class DiscoveryQuery:
    """Who asks for a server. model_family: None = not said, or a kind that is newer than this."""

    user_identifier: str
    model_family: ModelFamily | None


@dataclass(frozen=True, slots=True)
class ServiceDiscovery:
    """Where to enroll: a device POSTs its MachineInfo to base_url."""

    version: ServiceVersion
    base_url: str


def read_discovery_query(query: Mapping[str, str]) -> DiscoveryQuery:
    """The question in the parameters, decoded, of a GET of WELL_KNOWN_PATH.

    Raises MalformedMessage when user-identifier is absent, longer than 254 characters or holds a control character.
    Whether it is an address is not checked.
    """
    user_identifier = read_identifier(query, "user-identifier", MAX_USER_NAME_CHARACTERS)
    if user_identifier is None:
        raise MalformedMessage("user-identifier is missing")
    try:
        family = ModelFamily(query.get("model-family", ""))
    except ValueError:
        family = None
    return DiscoveryQuery(user_identifier, family)


def encode_service_discovery(version: ServiceVersion, base_url: str) -> bytes:
    """The document that names this server, JSON. Apple's devices want exactly one server and take the first."""
    return json.dumps({"Servers": [{"Version": version.value, "BaseURL": base_url}]}).encode("ascii")


def decode_service_discovery(document: bytes) -> ServiceDiscovery:
    """The first server in *document*, for simulated devices.

    Raises MalformedMessage when it is not JSON of at most 64 KiB, names no server, or one of an unknown version.
    """
    if len(document) > MAX_DISCOVERY_BYTES:
        raise MalformedMessage(f"the document is longer than {MAX_DISCOVERY_BYTES} bytes")
    try:
        keys: PlistValue = json.loads(document)
    except (ValueError, RecursionError):
        raise MalformedMessage("the document is not JSON") from None
    servers = (optional_array(keys, "Servers") if isinstance(keys, dict) else None) or []
    if not servers or not isinstance(servers[0], dict):
        raise MalformedMessage("Servers is missing")
    try:
        version = ServiceVersion(required_text(servers[0], "Version"))
    except ValueError:
        raise MalformedMessage("Version is neither mdm-byod nor mdm-adde") from None
    return ServiceDiscovery(version, required_text(servers[0], "BaseURL"))


def www_authenticate_as_web(url: str) -> str:
    """The WWW-Authenticate header that sends the user to the web page *url*.

    The device adds user-identifier as a query. Raises ValueError when *url* does not begin with https://, or holds a
    character that would have to be escaped.
    """
    if not _URL.fullmatch(url):
        raise ValueError("the URL for signing in is not plain https")
    return f'Bearer method="apple-as-web", url="{url}"'


def read_www_authenticate(header: str) -> str | None:
    """Where *header* sends the user, for simulated devices; None when that is not to a web page (apple-as-web)."""
    if len(header) > MAX_HEADER_CHARACTERS or not header.lower().startswith("bearer ") or not _AS_WEB.search(header):
        return None
    url = _URL_PARAMETER.search(header)
    return url[1] if url is not None and _URL.fullmatch(url[1]) else None


def bearer_token(header: str | None) -> str | None:
    """The token in an Authorization header.

    None when there is none, *header* is of another scheme, or the token is malformed or longer than 4096 characters.
    """
    if header is None or len(header) > MAX_HEADER_CHARACTERS:
        return None
    match = _BEARER.fullmatch(header.strip(" "))
    return match[1] if match is not None and len(match[1]) <= MAX_TOKEN_CHARACTERS else None


def authentication_results_url(access_token: str) -> str:
    """The URL by which the web page hands *access_token* to the device, to be sent as Location of a 308.

    Raises ValueError when the token holds other characters than letters, digits and ``._~-``.
    """
    if not _UNRESERVED.fullmatch(access_token):
        raise ValueError("the access token would have to be escaped in a URL")
    return _RESULTS + access_token


def read_authentication_results(url: str) -> str | None:
    """The access token that *url* hands over, for simulated devices; None when it is another kind of URL."""
    token = url.removeprefix(_RESULTS)
    return token if token != url and len(token) <= MAX_TOKEN_CHARACTERS and _UNRESERVED.fullmatch(token) else None
