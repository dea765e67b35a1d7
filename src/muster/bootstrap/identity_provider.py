"""The identity provider by which administrators may sign in, as the settings name it."""

import ssl
from collections.abc import Callable, Mapping
from datetime import datetime

from muster.domain.provider_roles import read_role
from muster.domain.roles import Role
from muster.edges.identity_provider.provider import OpenIdProvider, ProviderSettings
from muster.settings import Settings


def identity_provider(settings: Settings, now: Callable[[], datetime]) -> OpenIdProvider | None:
    """Make the provider; None where the settings name none."""
    if settings.oidc_issuer is None:
        return None
    tls = ssl.create_default_context()
    if settings.oidc_ca is not None:
        tls.load_verify_locations(cafile=settings.oidc_ca)
    secret = settings.oidc_client_secret
    return OpenIdProvider(
        ProviderSettings(
            settings.oidc_issuer,
            settings.oidc_client_id,
            None if secret is None else secret.get_secret_value(),
            settings.oidc_name,
            settings.oidc_groups_claim,
            settings.oidc_scopes,
            tls,
        ),
        now,
    )


def provider_roles(settings: Settings) -> Mapping[str, Role]:
    """Return which groups have which role."""
    return dict(read for read in map(read_role, settings.oidc_roles) if read is not None)
