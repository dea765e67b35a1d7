"""Speaks to an identity provider (OpenID Connect Core and Discovery 1.0): three requests, bounded, over TLS."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from muster.crypto.id_tokens import BadIdToken, Expected, read_id_token
from muster.domain.provider_roles import MAXIMUM_GROUPS
from muster.edges.identity_provider.asking import TIMEOUT_SECONDS, ask
from muster.operations.ports import ProviderAnswer, ProviderFailed, ProviderIdentity, ProviderQuestion

KEPT_FOR: Final = timedelta(hours=1)
"""The provider's addresses and keys; a key that is new is looked for at once."""
LOOKED_AGAIN_AFTER: Final = timedelta(minutes=1)
"""Keys are fetched no more often, however many tokens come by keys that we don't know."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """Who the provider is, and who we are there. *issuer*: without a slash at its end. *client_secret* absent: we have
    none, and PKCE alone protects."""

    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    name: str
    groups_claim: str
    scopes: Sequence[str]
    tls: ssl.SSLContext


@dataclass(slots=True)
class _Kept:
    value: Mapping[str, Any]
    at: datetime


class OpenIdProvider:
    """One identity provider. Fulfils `operations.ports.IdentityProvider`."""

    def __init__(self, settings: ProviderSettings, now: Callable[[], datetime]) -> None:
        self.name = settings.name
        self._settings = settings
        self._now = now
        self._metadata: _Kept | None = None
        self._keys: _Kept | None = None

    async def authorization_url(self, question: ProviderQuestion) -> str:
        """Return where the browser is sent. Raises ProviderFailed."""
        endpoint = _text(await self._about(), "authorization_endpoint")
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": question.redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": question.state,
            "nonce": question.nonce,
            "code_challenge": question.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def identify(self, answer: ProviderAnswer) -> ProviderIdentity:
        """Give the code for an ID token, and return whom it names. Raises ProviderFailed."""
        issuer = _text(await self._about(), "issuer")
        if answer.issuer is not None and answer.issuer != issuer:
            raise ProviderFailed("the browser came back from somebody else (iss)")
        token = await self._exchange(answer)
        expected = Expected(issuer, self._settings.client_id, answer.nonce, self._now())
        try:
            claims = read_id_token(token, await self._key_set(), expected)
        except BadIdToken as first:
            if not self._may_look_again():
                raise ProviderFailed(f"its ID token is not good: {first}") from first
            try:  # the provider may sign by a new key
                claims = read_id_token(token, await self._key_set(anew=True), expected)
            except BadIdToken as error:
                raise ProviderFailed(f"its ID token is not good: {error}") from error
        return self._identity(claims)

    def _identity(self, claims: Mapping[str, Any]) -> ProviderIdentity:
        told = claims.get(self._settings.groups_claim, ())
        listed = [told] if isinstance(told, str) else told if isinstance(told, list) else []
        groups = tuple(one for one in listed[:MAXIMUM_GROUPS] if isinstance(one, str))
        names = (claims.get(name) for name in ("preferred_username", "email", "name", "sub"))
        name = next(one for one in names if isinstance(one, str) and one)
        return ProviderIdentity(claims["iss"], claims["sub"], name, groups)

    async def _exchange(self, answer: ProviderAnswer) -> str:
        fields = {
            "grant_type": "authorization_code",
            "code": answer.code,
            "redirect_uri": answer.redirect_uri,
            "code_verifier": answer.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        about, secret = await self._about(), self._settings.client_secret
        if secret is None:
            fields["client_id"] = self._settings.client_id
        elif _takes_secrets_in_forms_alone(about):
            fields |= {"client_id": self._settings.client_id, "client_secret": secret}
        else:  # RFC 6749, 2.3.1: form-encoded before it is put together
            pair = f"{quote(self._settings.client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        told = await self._ask("POST", _text(about, "token_endpoint"), urlencode(fields).encode(), headers)
        return _text(told, "id_token")

    async def _about(self) -> Mapping[str, Any]:
        kept = self._metadata
        if kept is None or self._now() - kept.at >= KEPT_FOR:
            found = await self._ask("GET", f"{self._settings.issuer}/.well-known/openid-configuration")
            # some issuers end in a slash, which is no part of the address to ask (Discovery 1.0, 4.1)
            if _text(found, "issuer").removesuffix("/") != self._settings.issuer:
                raise ProviderFailed("it says that it is somebody else (issuer)")
            kept = self._metadata = _Kept(found, self._now())
        return kept.value

    async def _key_set(self, *, anew: bool = False) -> Mapping[str, Any]:
        kept = self._keys
        if anew or kept is None or self._now() - kept.at >= KEPT_FOR:
            kept = self._keys = _Kept(await self._ask("GET", _text(await self._about(), "jwks_uri")), self._now())
        return kept.value

    def _may_look_again(self) -> bool:
        return self._keys is not None and self._now() - self._keys.at >= LOOKED_AGAIN_AFTER

    async def _ask(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(2 * TIMEOUT_SECONDS):
                return await asyncio.to_thread(ask, method, url, body, headers or {}, self._settings.tls)
        except TimeoutError as error:
            raise ProviderFailed(f"{urlsplit(url).hostname} takes more than {2 * TIMEOUT_SECONDS} s") from error


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str) or not value:
        raise ProviderFailed(f"it says no {name}")
    return value


def _takes_secrets_in_forms_alone(about: Mapping[str, Any]) -> bool:
    """Tell whether it lists how clients show their secrets (Discovery 1.0, 3), and not the way that is the default."""
    listed = about.get("token_endpoint_auth_methods_supported")
    return isinstance(listed, list) and "client_secret_basic" not in listed and "client_secret_post" in listed
