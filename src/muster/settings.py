"""Every setting: name, type, unit, default, help. The manual's page is made from this list.

Precedence: flag, then `MUSTER_*` in the environment, then `muster.toml` in the data directory, then the default.
Unknown names are refused in file and environment; an empty variable counts as absent. Policies that administrators
change while the server runs are not settings; they live in the database.
"""

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from muster.domain.policy import Policy
from muster.domain.provider_roles import read_role
from muster.domain.roles import Role
from muster.edges.apns.tunnel import read_proxy

PREFIX = "MUSTER_"
FILE_NAME = "muster.toml"
FOREIGN_PREFIXES = ("MUSTER_TEST_",)
"""Variables that begin with our prefix and belong to the test suite."""
OF_THE_COMMAND_LINE = frozenset({"MUSTER_SERVER", "MUSTER_TOKEN", "MUSTER_TOKEN_FILE", "MUSTER_CA_FILE"})
"""Where a command asks, and by which token: no settings of a server."""
_LISTS = frozenset({"trusted_proxies", "oidc_roles", "oidc_scopes"})
"""Settings whose parts stand between commas in a variable."""
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")
"""One scope (RFC 6749, 3.3)."""


class SettingsError(Exception):
    """A setting is wrong; the message has one line for each, naming it and what it should be."""


def _without_slash(url: str) -> str:
    return url.rstrip("/")


Url = Annotated[str, AfterValidator(_without_slash)]


class Settings(BaseModel):
    """What an operator may set, with the defaults of a small site."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # where things are
    data_dir: Path = Field(
        Path("muster-data"), description="Directory for the database, key ring, journal and backups."
    )
    database: SecretStr | None = Field(
        None, description="postgresql:// URL of a shared database; without it, SQLite in the data directory."
    )
    key_ring: Path | None = Field(
        None,
        description="File with the sealing keys, shared by all nodes; default keys/ring.json in the data directory.",
    )
    journal_days: int = Field(
        400,
        ge=2,
        le=36500,
        description="Days for which the journal is kept; more than the age of the oldest backup you may restore.",
    )
    # how we are reached
    listen: str = Field(
        "127.0.0.1:8443", description="HOST:PORT to listen on; [::1]:PORT for IPv6; port 0 takes a free one."
    )
    public_url: Url | None = Field(
        None, description="URL at which devices reach this server, as it stands in their profiles; default from listen."
    )
    check_in_url: Url | None = Field(
        None,
        description="URL for check-ins, ending in /checkin, where another process serves them; default: one URL.",
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file with the server's certificate chain; without it, HTTP."
    )
    tls_key: Path | None = Field(None, description="PEM file with the key of tls_certificate.")
    tls_client_certificates: Literal["off", "ask"] = Field(
        "off", description="Whether our own TLS asks devices for their certificate; it is never required."
    )
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="Addresses of reverse proxies, or networks as 10.1.0.0/16, whose X-Forwarded-For and -Proto are "
        "believed.",
    )
    client_certificate_header: str = Field(
        "",
        max_length=64,
        pattern=r"^[A-Za-z0-9-]*$",
        description="Header in which the trusted proxies hand on their client's certificate; empty: in none.",
    )
    workers: int = Field(1, ge=1, le=64, description="Processes to serve with; more than one needs PostgreSQL.")
    # who we are
    organization: str = Field(
        "", max_length=64, description="Name of the organization, as people see it on their devices."
    )
    profile_trust_anchors: Path | None = Field(
        None,
        description="PEM file with certificates devices shall trust for this server, where it is not publicly trusted.",
    )
    profile_signer_certificate: Path | None = Field(
        None, description="PEM file to sign profiles with; default: the TLS certificate, else our own authority."
    )
    profile_signer_key: Path | None = Field(None, description="PEM file with the key of profile_signer_certificate.")
    device_attestation_roots: Path | None = Field(
        None,
        description="PEM file with roots that vouch for devices beside Apple's, for trials with simulated devices.",
    )
    # identities
    identity_lifetime_days: int = Field(
        365, ge=1, le=3650, description="How long device identities are valid, in days."
    )
    renew_before_days: int = Field(
        180,
        ge=1,
        le=3650,
        description="How long before their end identities are renewed, in days; never before a third of life is left.",
    )
    rotation_days: int = Field(
        30,
        ge=0,
        le=3650,
        description="Over how many days the fleet's identities are renewed after `muster authority rotate`.",
    )
    challenge_lifetime_hours: int = Field(
        24, ge=1, le=720, description="How long a fetched profile may be installed, in hours."
    )
    allow_pkcs12_identities: bool = Field(
        False, description="Let links hand out identities made here, key included, for where SCEP can't be used."
    )
    accept_unattested_macs: bool = Field(
        True,
        description="Let Macs enroll over the air without a certificate of Apple's; many have none. Others never may.",
    )
    accept_legacy_algorithms: bool = Field(
        True, description="Accept SHA-1 signatures and DES or 3DES envelopes where a client chose them."
    )
    setup_hold_seconds: int = Field(
        20, ge=0, le=3600, description="How long devices wait in Setup Assistant for commands to be queued, in seconds."
    )
    setup_patience_minutes: int = Field(
        30, ge=1, le=1440, description="How long an unanswered command holds a device in Setup Assistant, in minutes."
    )
    directory_file: Path | None = Field(
        None,
        description="File with the passwords of network users of Macs, for the policy network_users; "
        "default: directory in data_dir.",
    )
    directory_realm: str = Field(
        "muster",
        pattern=r'^[^\x00-\x1f\x7f:"\\]{1,64}$',
        description="Realm of the passwords in directory_file; under another one, none of them is good.",
    )
    inventory_hours: int = Field(
        24,
        ge=0,
        le=8760,
        description="How often devices are asked about themselves, in hours; what hardly changes a seventh as often. "
        "0: never, unless somebody asks.",
    )
    evidence_days: int = Field(
        90,
        ge=30,
        le=36500,
        description="How many days evidence is kept that changed no verdict, by whole months; what did, check-ins and "
        "what devices said of their enrollment are kept for ever, and of what goes its count and hash.",
    )
    inventory_others_every: int = Field(
        1,
        ge=1,
        le=52,
        description="Of how many such times a device is asked for more than about itself and its users (its security, "
        "its lists of apps, profiles and certificates) at one: more spare a large fleet, and tell of changes later.",
    )
    leavings_per_hour: int = Field(
        10,
        ge=0,
        le=1_000_000,
        description="How many devices may be unenrolled or rejected within an hour, unless their count is named.",
    )
    disruptions_per_hour: int = Field(
        10,
        ge=0,
        le=1_000_000,
        description="How many devices may be erased, locked, restarted or shut down within an hour, "
        "unless their count is named.",
    )
    self_test_minutes: int = Field(
        30,
        ge=0,
        le=1440,
        description="How often the server looks at its own public_url as devices meet it, in minutes. 0: never.",
    )
    # push
    apns_host: str = Field("api.push.apple.com", description="Host of the push service.")
    apns_port: int = Field(443, ge=1, le=65535, description="Port of the push service: 443 or 2197.")
    apns_ca: Path | None = Field(
        None, description="PEM file to trust instead of the system's, for a simulated push service."
    )
    apns_proxy: str | None = Field(
        None, description="HTTP proxy towards the push service: http://[USER:PASSWORD@]HOST[:PORT]."
    )
    # others who are told
    webhook_ca: Path | None = Field(
        None, description="PEM file with authorities to trust beside the system's where events are sent to."
    )
    # who administers
    oidc_issuer: Url | None = Field(
        None, description="URL of the identity provider (OpenID Connect) by which administrators may sign in."
    )
    oidc_client_id: str = Field("", max_length=255, description="Who this server is at the identity provider.")
    oidc_client_secret: SecretStr | None = Field(
        None, description="Secret of oidc_client_id; without one, this server is a public client, with PKCE."
    )
    oidc_name: str = Field(
        "your organization", min_length=1, max_length=64, description="What people call the identity provider."
    )
    oidc_groups_claim: str = Field("groups", max_length=255, description="Claim of the ID token that names groups.")
    oidc_scopes: tuple[str, ...] = Field(
        ("openid", "profile", "email"),
        description="Scopes that are asked for; openid is one of them. Some providers name groups for the scope groups "
        "alone.",
    )
    oidc_roles: tuple[str, ...] = Field(
        (), description="Which groups there have which role here: GROUP=ROLE, such as mac-admins=operator."
    )
    oidc_ca: Path | None = Field(
        None, description="PEM file with authorities to trust beside the system's at the identity provider."
    )
    # programs
    api_requests_per_minute: int = Field(
        600,
        ge=1,
        le=1_000_000,
        description="How often a minute one API token may ask at /api/v1; each node counts by itself.",
    )
    # a familiar door
    nanomdm_api_key: SecretStr | None = Field(
        None,
        min_length=8,
        description="Opens NanoMDM's HTTP API at /v1 for programs that show it as the password of `nanomdm`; "
        "without it, there is no such API.",
    )
    escrow_unlock_url: Url = Field(
        "https://deviceservices-external.apple.com/deviceservicesworkers/escrowKeyUnlock",
        description="Where Apple takes off Activation Locks by their bypass code.",
    )
    escrow_unlock_ca: Path | None = Field(
        None, description="PEM file to trust instead of the system's at escrow_unlock_url, for a simulated service."
    )
    migration_ca: Path | None = Field(
        None,
        description="PEM file with the authorities of a server whose devices come over without their identities: what "
        "they show at their first contact is theirs. Without it, there is no /migration.",
    )
    # what is said
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged.")
    log_format: Literal["json", "text"] = Field("json", description="One JSON object a line, or text for people.")
    node: str = Field(
        "", max_length=64, pattern=r"^[A-Za-z0-9_.-]*$", description="Name of this node; default: the host's name."
    )

    @property
    def key_ring_path(self) -> Path:
        """Where the key ring is."""
        return self.key_ring or self.data_dir / "keys" / "ring.json"

    @property
    def directory_path(self) -> Path:
        """Where the passwords of network users are."""
        return self.directory_file or self.data_dir / "directory"

    @property
    def database_path(self) -> Path:
        """Where SQLite's file is, when SQLite it is."""
        return self.data_dir / "muster.db"

    @property
    def listen_host(self) -> str:
        """The host part of *listen*."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def listen_port(self) -> int:
        """The port part of *listen*."""
        return int(self.listen.rpartition(":")[2])

    @property
    def has_tls(self) -> bool:
        """Whether the server speaks TLS itself."""
        return self.tls_certificate is not None

    @property
    def effective_public_url(self) -> str:
        """The public URL, or the one that *listen* implies."""
        if self.public_url is not None:
            return self.public_url
        host = self.listen_host if ":" not in self.listen_host else f"[{self.listen_host}]"
        return f"{'https' if self.has_tls else 'http'}://{host}:{self.listen_port}"

    def policy(self) -> Policy:
        """The domain's limits as these settings have them."""
        return Policy(
            identity_lifetime=timedelta(days=self.identity_lifetime_days),
            renew_before=timedelta(days=self.renew_before_days),
            rotation_span=timedelta(days=self.rotation_days),
            challenge_lifetime=timedelta(hours=self.challenge_lifetime_hours),
            set_up_hold=timedelta(seconds=self.setup_hold_seconds),
            set_up_patience=timedelta(minutes=self.setup_patience_minutes),
            directory_realm=self.directory_realm,
            allows_pkcs12_identities=self.allow_pkcs12_identities,
            accepts_unattested_macs=self.accept_unattested_macs,
            inventory_interval=timedelta(hours=self.inventory_hours),
            evidence_retention=timedelta(days=self.evidence_days),
            inventory_others_every=self.inventory_others_every,
            leavings_per_hour=self.leavings_per_hour,
            disruptions_per_hour=self.disruptions_per_hour,
        )


def read_settings(flags: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Settings:
    """Collect the settings of a process; *flags* that are None were not given.

    Raises SettingsError for a name nobody knows, a value that does not fit, or settings that contradict each other.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    from_environment = _from_environment(os.environ if environment is None else environment)
    data_dir = Path(
        given.get("data_dir") or from_environment.get("data_dir") or Settings.model_fields["data_dir"].default
    )
    from_file = _from_file(data_dir / FILE_NAME)
    origins = {name: f"{data_dir / FILE_NAME}: {name}" for name in from_file}
    origins |= {name: f"{PREFIX}{name.upper()}" for name in from_environment}
    origins |= {name: f"--{name.replace('_', '-')}" for name in given}
    try:
        settings = Settings(**(from_file | from_environment | given | {"data_dir": data_dir}))
    except ValidationError as error:
        lines = [f"{origins.get(str(one['loc'][0]), one['loc'][0])}: {_words(one['msg'])}" for one in error.errors()]
        raise SettingsError("\n".join(lines)) from error
    wrong = [f"{origins.get(name, name)}: {message}" for name, message in _contradictions(settings)]
    if wrong:
        raise SettingsError("\n".join(wrong))
    return settings


def _words(message: str) -> str:
    """Put pydantic's message into the middle of a sentence."""
    return message[:1].lower() + message[1:]


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or variable.startswith(FOREIGN_PREFIXES):
            continue
        if variable in OF_THE_COMMAND_LINE:
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in Settings.model_fields:
            raise SettingsError(f"{variable}: there is no such setting{_nearest(name)}")
        if not value:
            continue
        is_list = name in _LISTS
        named[name] = tuple(part.strip() for part in value.split(",") if part.strip()) if is_list else value
    return named


def _from_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            named = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    for name in named:
        if name == "data_dir":
            raise SettingsError(f"{path}: data_dir: the file lies in it; give --data-dir or {PREFIX}DATA_DIR")
        if name not in Settings.model_fields:
            raise SettingsError(f"{path}: {name}: there is no such setting{_nearest(name)}")
    return named


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """Find what single values can't show: the name of a setting, and what is wrong with it."""
    if not _is_host_and_port(settings.listen):
        yield "listen", "must be HOST:PORT, as in 127.0.0.1:8443 or [::1]:8443"
    for name, url in (("public_url", settings.public_url), ("check_in_url", settings.check_in_url)):
        if url is not None and not _is_plain_url(url):
            yield name, "must be https://HOST[:PORT] (or http:// for trials), a path may follow, and nothing else"
    if settings.database is not None:
        scheme = settings.database.get_secret_value().partition("://")[0]
        if scheme not in ("postgresql", "postgres"):
            yield "database", "must be a postgresql:// URL; without one, SQLite is used"
    elif settings.workers > 1:
        yield "workers", "SQLite serves from one process; give a PostgreSQL database for more"
    for certificate, key in (("tls_certificate", "tls_key"), ("profile_signer_certificate", "profile_signer_key")):
        if (getattr(settings, certificate) is None) != (getattr(settings, key) is None):
            alone, other = (certificate, key) if getattr(settings, key) is None else (key, certificate)
            yield alone, f"goes together with {other}, which is not set"

    yield from _contradictions_of_peers(settings)
    yield from _contradictions_of_provider(settings)


def _contradictions_of_provider(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.oidc_issuer is None:
        return
    parts = urlsplit(settings.oidc_issuer)
    if parts.scheme != "https" and parts.hostname not in {"localhost", "127.0.0.1"}:
        yield "oidc_issuer", "must be https://HOST, a path may follow"
    if not settings.oidc_client_id:
        yield "oidc_client_id", "goes together with oidc_issuer"
    if "openid" not in settings.oidc_scopes or not all(map(_SCOPE.fullmatch, settings.oidc_scopes)):
        yield "oidc_scopes", "are words of visible ASCII, openid among them"
    for text in settings.oidc_roles:
        if read_role(text) is None:
            yield "oidc_roles", f"{text} is not GROUP=ROLE, with one of the roles {', '.join(Role)}"


def _contradictions_of_peers(settings: Settings) -> Iterator[tuple[str, str]]:
    if not settings.escrow_unlock_url.startswith("https://") or not _is_plain_url(settings.escrow_unlock_url):
        yield "escrow_unlock_url", "must be https://HOST[:PORT]/PATH, and nothing else"
    for proxy in settings.trusted_proxies:
        if not _is_network(proxy):
            yield "trusted_proxies", f"{proxy} is neither an address nor a network, as in 10.0.0.1 or 10.1.0.0/16"
    if settings.client_certificate_header and not settings.trusted_proxies:
        yield "client_certificate_header", "is believed from trusted_proxies only, and there are none"
    if settings.apns_proxy is not None:
        try:
            read_proxy(settings.apns_proxy)
        except ValueError as error:
            yield "apns_proxy", str(error)
    if settings.tls_client_certificates == "ask" and not settings.has_tls:
        yield "tls_client_certificates", "asks in our own TLS, which tls_certificate and tls_key would make"


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_host_and_port(listen: str) -> bool:
    host, separator, port = listen.rpartition(":")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        return False
    return bool(separator and host and port.isascii() and port.isdigit() and int(port) <= 65535)


def _is_plain_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is none
    except ValueError:
        return False
    has_more = parts.query or parts.fragment or parts.username is not None
    return parts.scheme in ("https", "http") and bool(parts.hostname) and not has_more


def advice(settings: Settings) -> list[str]:
    """Say what works and yet is hardly meant: a line for each, none when all is well."""
    lines = []
    host = (urlsplit(settings.effective_public_url).hostname or "").strip("[]")
    if settings.public_url is None and host in ("0.0.0.0", "::"):  # noqa: S104 - said of it, not bound
        lines.append(
            f"public_url is not set, so devices are told to come to {settings.effective_public_url}, "
            "which is nowhere: set it to the URL at which they reach this server"
        )
    elif not settings.effective_public_url.startswith("https://"):
        lines.append(
            f"devices are told to come to {settings.effective_public_url}; real ones accept only https://, "
            "so set public_url, or tls_certificate and tls_key"
        )
    return lines
