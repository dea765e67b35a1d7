"""An identity provider for tests: its tokens and keys are made by joserfc; what it answers, a test may change."""

import hashlib
import http.server
import json
import threading
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

CLIENT_ID, CLIENT_SECRET = "muster at home", "secret & more"

_IN_FORMS = "client_secret_post"


class FakeProvider:
    """One provider with one person, always signed in there. *spoil* changes the claims before they are signed."""

    def __init__(self, issuer: str, now: Callable[[], int]) -> None:
        self.issuer = issuer
        self.called = issuer
        """By what it calls itself."""
        self.key = ECKey.generate_key("P-256", {"kid": "one"})
        self.published: list[OctKey | RSAKey | ECKey | OKPKey] = [self.key]
        self.claims: dict[str, Any] = {"sub": "4711", "preferred_username": "ada", "groups": ["mac-admins"]}
        self.spoil: dict[str, Any] = {}
        self.header: dict[str, Any] = {"alg": "ES256", "kid": "one"}
        self.signed_by: Any = self.key
        self.asked: list[str] = []
        self.takes_secrets_in_forms = False
        self._now = now
        self._codes: dict[str, dict[str, str]] = {}

    def authorize(self, url: str) -> dict[str, str]:
        """Be the browser at the authorization endpoint: what it is sent back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.called}

    def answer(self, path: str, body: bytes, authorization: str) -> tuple[int, object]:
        """Answer a request."""
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.called,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                **({"token_endpoint_auth_methods_supported": [_IN_FORMS]} if self.takes_secrets_in_forms else {}),
            }
        if path == "/keys":
            return 200, KeySet(self.published).as_dict(private=False)
        if path == "/token" and self._knows(authorization, body):
            return 200, self._token(body)
        return 401, {"error": "invalid_client", "error_description": "Nobody\nhas this secret."}

    def _knows(self, authorization: str, body: bytes) -> bool:
        if self.takes_secrets_in_forms:
            form = parse_qs(body.decode())
            return (form.get("client_id"), form.get("client_secret")) == ([CLIENT_ID], [CLIENT_SECRET])
        name, _, secret = b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        return (unquote(name), unquote(secret)) == (CLIENT_ID, CLIENT_SECRET)

    def _token(self, body: bytes) -> dict[str, str]:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if asked is None or urlsafe_b64encode(digest).decode().rstrip("=") != asked["code_challenge"]:
            return {"error": "invalid_grant"}
        now = self._now()
        claims = {"iss": self.called, "aud": CLIENT_ID, "nonce": asked["nonce"], "iat": now, "exp": now + 300}
        claims = {name: value for name, value in {**claims, **self.claims, **self.spoil}.items() if value is not None}
        return {"id_token": jwt.encode(self.header, claims, self.signed_by)}


@contextmanager
def serving(now: Callable[[], int]) -> Iterator[FakeProvider]:
    """Serve a provider on loopback."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(b"")

        def do_POST(self) -> None:
            self._reply(self.rfile.read(int(self.headers["Content-Length"])))

        def _reply(self, body: bytes) -> None:
            status, told = provider.answer(self.path, body, self.headers.get("Authorization", ""))
            text = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = FakeProvider(f"http://127.0.0.1:{server.server_port}", now)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
