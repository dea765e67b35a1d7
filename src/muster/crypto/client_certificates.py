"""Client certificates given to TLS: what OpenSSL's policy refuses shows here, and not first at a handshake.

A certificate may be sound in every other way and yet be none that TLS shows: RSA keys below 2048 bits and signatures
with SHA-1 are below OpenSSL's usual security level, for the certificate as well as for those that come with it.
"""

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from muster.crypto.errors import CryptoError

_OPENSSL_PLACE: Final = re.compile(r"\s*\(_ssl\.c:\d+\)$|^\[[^]]*\]\s*")


class UnusableCertificate(CryptoError):
    """TLS can't show the certificate: it or its key can't be read, they don't belong together, or policy forbids it."""


def words_of(error: Exception) -> str:
    """*error* in OpenSSL's own words, without the place in its sources."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is refused: {error.verify_message}"
    return _OPENSSL_PLACE.sub("", str(error)) or type(error).__name__


def load_client_certificate(context: ssl.SSLContext, certificate_pem: bytes, key_pem: bytes) -> None:
    """Have *context* show a certificate, with those that follow it. Raises UnusableCertificate, in OpenSSL's words."""
    try:
        with _as_files(certificate_pem, key_pem) as (certificate, key):
            # without a password of ours OpenSSL would ask for one at the terminal
            context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise UnusableCertificate(words_of(error)) from error


def why_unusable(certificate_pem: bytes, key_pem: bytes) -> str | None:
    """Say in OpenSSL's words why TLS here can't show a certificate; None when it can. Its dates are not looked at."""
    try:
        load_client_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate_pem, key_pem)
    except UnusableCertificate as error:
        return str(error)
    return None


@contextmanager
def _as_files(*contents: bytes) -> Iterator[list[str]]:
    """Paths of *contents* for a moment: in memory where the system has that, else private files."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        descriptors = []
        try:
            for content in contents:
                descriptors.append(os.memfd_create("muster-client-certificate"))
                os.write(descriptors[-1], content)
            yield [f"/proc/self/fd/{descriptor}" for descriptor in descriptors]
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
    else:
        with TemporaryDirectory(prefix="muster-client-certificate-") as directory:  # for this user alone
            paths = [Path(directory, str(number)) for number in range(len(contents))]
            for path, content in zip(paths, contents, strict=True):
                path.write_bytes(content)
            yield [str(path) for path in paths]
