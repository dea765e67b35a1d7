"""SCEP clients, OpenSSL and curl, which nobody here wrote, against the live server."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.service.conftest import Site
from tests.support.profiles import scep_of

from muster.crypto.certificates import fingerprint, inspect_certificate, pem_from_der
from muster.protocol.profile import EnrollmentProfile, decode_enrollment_profile

WITNESS_SECONDS = 60


class Witness:
    """A program that runs in *directory*."""

    def __init__(self, program: str, directory: Path) -> None:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
        self._program = program
        self._directory = directory

    def tries(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it."""
        return subprocess.run(
            [self._program, *arguments],
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=WITNESS_SECONDS,
        )

    def __call__(self, *arguments: str) -> str:
        """Run it, and return what it printed; it must succeed."""
        done = self.tries(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def profile(site: Site) -> EnrollmentProfile:
    """An enrollment profile with a challenge of its own, as `muster enroll profile` prints it."""
    code, out, err = site.muster.run("enroll", "profile", site.muster.link(), "--unsigned")
    assert code == 0, err
    return decode_enrollment_profile(out.encode())


def challenge(site: Site) -> str:
    secret = scep_of(profile(site)).challenge
    assert secret is not None
    return secret


def issued(directory: Path, name: str) -> bytes:
    """The only certificate in a PEM file, DER."""
    openssl = subprocess.run(
        ["openssl", "x509", "-in", name, "-outform", "DER"], cwd=directory, capture_output=True, check=True
    )
    return openssl.stdout


@pytest.mark.witness("pki")
def test_strongswan_gets_a_certificate_and_renews_it(sqlite_site: Site, tmp_path: Path) -> None:
    pki, openssl = Witness("pki", tmp_path), Witness("openssl", tmp_path)
    url = f"{sqlite_site.server.url}/scep"
    pki("--scepca", "--url", url, "--caout", "ca.der", "--force")
    for name in ("first", "second"):
        openssl("genrsa", "-out", f"{name}.key", "2048")
    request = ["--scep", "--url", url, "--cacert-enc", "ca.der", "--cacert-sig", "ca.der", "--outform", "pem"]
    subject = ["--dn", "O=Acme, CN=strongswan"]

    first = pki(*request, *subject, "--in", "first.key", "--san", "x.example.com", "--password", challenge(sqlite_site))
    (tmp_path / "first.crt").write_text(first)
    second = pki(*request, *subject, "--in", "second.key", "--cert", "first.crt", "--key", "first.key")
    (tmp_path / "second.crt").write_text(second)

    openssl("x509", "-inform", "DER", "-in", "ca.der", "-out", "ca.pem")
    assert "second.crt: OK" in openssl("verify", "-purpose", "sslclient", "-CAfile", "ca.pem", "second.crt")
    facts = [inspect_certificate(issued(tmp_path, f"{name}.crt")) for name in ("first", "second")]
    assert [one.common_name for one in facts] == ["strongswan", "strongswan"]
    assert facts[0].public_key_der != facts[1].public_key_der


@pytest.mark.witness("pki")
@pytest.mark.parametrize("cipher", ["aes", "des3"])
@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_strongswan_may_choose_its_algorithms(sqlite_site: Site, tmp_path: Path, cipher: str, digest: str) -> None:
    pki = Witness("pki", tmp_path)
    url = f"{sqlite_site.server.url}/scep"
    pki("--scepca", "--url", url, "--caout", "ca.der", "--force")
    (tmp_path / "key").write_text(pki("--gen", "--type", "rsa", "--size", "2048", "--outform", "pem"))

    request = ["--scep", "--url", url, "--in", "key", "--dn", "CN=x", "--password", challenge(sqlite_site)]
    trust = ["--cacert-enc", "ca.der", "--cacert-sig", "ca.der"]
    certificate = pki(*request, *trust, "--cipher", cipher, "--digest", digest, "--outform", "pem")

    assert certificate.startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.witness("pki")
def test_strongswan_understands_that_a_wrong_or_used_challenge_is_refused(sqlite_site: Site, tmp_path: Path) -> None:
    pki = Witness("pki", tmp_path)
    url = f"{sqlite_site.server.url}/scep"
    pki("--scepca", "--url", url, "--caout", "ca.der", "--force")
    for name in ("one", "other"):
        (tmp_path / name).write_text(pki("--gen", "--type", "rsa", "--size", "2048", "--outform", "pem"))
    request = ["--scep", "--url", url, "--dn", "CN=x", "--cacert-enc", "ca.der", "--cacert-sig", "ca.der"]
    secret = challenge(sqlite_site)
    pki(*request, "--in", "one", "--password", secret, "--outform", "pem")

    wrong = pki.tries(*request, "--in", "one", "--password", "guessed")
    used = pki.tries(*request, "--in", "other", "--password", secret)

    assert (wrong.returncode != 0, used.returncode != 0) == (True, True)
    assert "badRequest" in wrong.stderr + wrong.stdout
    assert "badRequest" in used.stderr + used.stdout


@pytest.mark.witness("scepclient")
def test_micromdm_scepclient_gets_a_certificate_and_renews_it(sqlite_site: Site, tmp_path: Path) -> None:
    scepclient = Witness("scepclient", tmp_path)
    request = ("-server-url", f"{sqlite_site.server.url}/scep", "-private-key", "k.pem", "-certificate", "c.pem")

    scepclient(*request, "-challenge", challenge(sqlite_site), "-cn", "scepclient", "-keySize", "2048")
    first = issued(tmp_path, "c.pem")
    scepclient(*request, "-cn", "scepclient")  # RenewalReq: without a challenge no PKCSReq succeeds
    second = issued(tmp_path, "c.pem")

    assert inspect_certificate(first).common_name == "scepclient"
    assert fingerprint(first) != fingerprint(second)


@pytest.mark.witness("scepclient")
def test_micromdm_scepclient_gets_nothing_for_a_wrong_challenge(sqlite_site: Site, tmp_path: Path) -> None:
    scepclient = Witness("scepclient", tmp_path)
    request = ("-server-url", f"{sqlite_site.server.url}/scep", "-private-key", "k.pem", "-certificate", "c.pem")

    refused = scepclient.tries(*request, "-challenge", "guessed", "-cn", "x", "-keySize", "2048")

    assert "badRequest" in refused.stderr + refused.stdout or refused.returncode != 0
    assert not (tmp_path / "c.pem").exists()


@pytest.mark.witness("openssl")
def test_openssl_verifies_the_profile_that_a_link_gives(sqlite_site: Site, tmp_path: Path) -> None:
    openssl = Witness("openssl", tmp_path)
    (tmp_path / "ca.pem").write_bytes(pem_from_der([sqlite_site.server.get("/scep?operation=GetCACert")]))
    link = sqlite_site.muster.link()
    (tmp_path / "signed").write_bytes(sqlite_site.server.get(link.removeprefix(sqlite_site.server.url)))

    verify = ("cms", "-verify", "-inform", "DER", "-in", "signed", "-CAfile", "ca.pem", "-purpose", "any")
    openssl(*verify, "-out", "profile")

    opened = decode_enrollment_profile((tmp_path / "profile").read_bytes())
    assert opened.server_url == f"{sqlite_site.server.url}/mdm"
    damaged = bytearray((tmp_path / "signed").read_bytes())
    damaged[damaged.index(b"PayloadType")] ^= 1
    (tmp_path / "signed").write_bytes(damaged)
    assert openssl.tries(*verify, "-out", "other").returncode != 0


@pytest.mark.witness("curl")
def test_curl_is_told_the_bounds(sqlite_site: Site, tmp_path: Path) -> None:
    curl, url = Witness("curl", tmp_path), sqlite_site.server.url
    with (tmp_path / "large").open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    status = ("-s", "-o", "/dev/null", "-w", "%{http_code}")
    signed = ("-H", "Mdm-Signature: x", "-H", "Expect:")

    assert curl(*status, *signed, "-T", "large", f"{url}/mdm") == "413"
    chunked = curl.tries(*status, *signed, "-H", "Transfer-Encoding: chunked", "-T", "large", f"{url}/mdm")
    assert chunked.stdout == "413"
    assert curl(*status, "-T", "large", "-H", "Expect:", f"{url}/mdm") == "403"  # without a signature nothing is read
    assert curl(*status, "-X", "PUT", "-d", "x", *signed, f"{url}/mdm") == "400"
    assert curl(*status, "--data-binary", "@large", f"{url}/scep?operation=PKIOperation") == "413"
    assert curl(*status, "-I", f"{url}/enroll/x") == "405"
    assert curl(*status, f"{url}/enroll/{'x' * 5000}") == "404"
    assert curl(*status, f"{url}/scep?operation=GetNothing") == "400"
    assert curl(*status, "-X", "DELETE", f"{url}/scep?operation=GetCACaps") == "405"
