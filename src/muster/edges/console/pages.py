"""All pages of the console: each class of pages says which addresses it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from starlette.routing import BaseRoute

from muster.domain.policy import Policy
from muster.domain.roles import Role
from muster.edges.console.account_pages import AccountPages
from muster.edges.console.audit_pages import AuditPages
from muster.edges.console.bulk_pages import BulkPages
from muster.edges.console.certificate_pages import CertificatePages
from muster.edges.console.command_pages import CommandPages
from muster.edges.console.device_pages import DevicePages
from muster.edges.console.enrollment_pages import EnrollmentPages
from muster.edges.console.fleet_pages import FleetPages
from muster.edges.console.group_pages import GroupPages
from muster.edges.console.inventory_pages import InventoryPages
from muster.edges.console.leaving_pages import LeavingPages
from muster.edges.console.list_pages import ListPages
from muster.edges.console.live import EventPages
from muster.edges.console.office import Office
from muster.edges.console.passkey_pages import PasskeyPages, passkey_site
from muster.edges.console.people_pages import PeoplePages
from muster.edges.console.policy_pages import PolicyPages
from muster.edges.console.provider_pages import ProviderPages
from muster.edges.console.reach_pages import ReachPages
from muster.edges.console.recovery_pages import RecoveryPages
from muster.edges.console.rendering import Renderer
from muster.edges.console.secret_pages import SecretPages
from muster.edges.console.send_pages import SendPages
from muster.edges.console.sessions import Sessions
from muster.edges.console.sign_in_pages import SignInPages
from muster.edges.console.vendor_certificate_pages import VendorCertificatePages
from muster.edges.console.waiting_pages import WaitingPages
from muster.edges.console.webhook_pages import WebhookPages
from muster.operations.ports import IdentityProvider, Runner


class Pages(Protocol):
    """Pages that belong together."""

    def routes(self) -> Sequence[BaseRoute]:
        """Return the addresses that they answer; the first that fits answers."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What pages are made with. *public_url* is where devices reach this server; absent when not set."""

    runner: Runner
    renderer: Renderer
    sessions: Sessions
    public_url: str | None
    policy: Policy


def all_pages(desk: Desk, provider: IdentityProvider | None, provider_roles: Mapping[str, Role]) -> list[Pages]:
    """Make the pages of every section, in the order in which their addresses are tried."""
    runner, renderer, sessions = desk.runner, desk.renderer, desk.sessions
    return [
        FleetPages(runner, renderer, sessions),
        *_ways_in(desk, provider, provider_roles),
        PeoplePages(runner, renderer, sessions, desk.public_url),
        AuditPages(runner, renderer, sessions),
        ListPages(runner, renderer, sessions, desk.public_url),
        DevicePages(runner, renderer, sessions, desk.policy),
        CommandPages(runner, renderer, sessions),
        SendPages(runner, renderer, sessions),
        BulkPages(runner, renderer, sessions),
        RecoveryPages(runner, renderer, sessions, desk.public_url, desk.policy),
        SecretPages(runner, renderer, sessions),
        LeavingPages(runner, renderer, sessions),
        InventoryPages(runner, renderer, sessions, desk.policy),
        *_service(Office(runner, renderer, sessions, desk.public_url)),
        EventPages(runner, sessions),
        renderer,
    ]


def _service(office: Office) -> list[Pages]:
    """Make the pages about the service itself."""
    return [
        EnrollmentPages(office),
        GroupPages(office),
        PolicyPages(office),
        WebhookPages(office),
        CertificatePages(office),
        VendorCertificatePages(office),
        WaitingPages(office),
        ReachPages(office),
    ]


def _ways_in(desk: Desk, provider: IdentityProvider | None, provider_roles: Mapping[str, Role]) -> list[Pages]:
    """Make the pages of signing in and of one's own account; without a provider or passkeys, without theirs."""
    runner, renderer, sessions, public_url = desk.runner, desk.renderer, desk.sessions, desk.public_url
    site = passkey_site(public_url)
    name = None if provider is None or public_url is None else provider.name
    account = AccountPages(
        runner, renderer, sessions, urlsplit(public_url or "").hostname or "Muster", has_passkeys=site is not None
    )
    pages: list[Pages] = [account]
    if provider is not None and public_url is not None:
        pages.append(ProviderPages(runner, renderer, sessions, provider, provider_roles, public_url))
    if site is not None:
        pages.append(PasskeyPages(runner, sessions, account, site))
    # last, for it answers /sign-in/ANYTHING
    return [*pages, SignInPages(runner, renderer, sessions, provider=name, has_passkeys=site is not None)]
