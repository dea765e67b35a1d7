"""The identity provider by which administrators sign in: OpenID Connect."""
