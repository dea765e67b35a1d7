"""Apple's authorities that vouch for devices: shipped with the program, read when first asked for.

Sources: Apple PKI, "Apple Root Certificates"; Apple, "MachineInfo", whose chain should validate against the Apple
Root CA.
"""

from functools import cache
from importlib import resources

from muster.crypto.certificates import der_from_pem


@cache
def apple_device_roots() -> tuple[bytes, ...]:
    """The roots (DER) above the certificates with which devices sign MachineInfo: the Apple Root CA.

    Certificates of developers and of push end there too: ask `chains` who is between.
    """
    return _read("apple_root_ca")


@cache
def apple_device_intermediates() -> tuple[bytes, ...]:
    """The authorities (DER) between devices and the Apple Root CA, for devices that leave them out.

    Both have expired, the Apple iPhone Device CA in 2014; devices are still signed by it.
    """
    return _read("apple_iphone_device_ca") + _read("apple_iphone_certification_authority")


@cache
def apple_attestation_roots() -> tuple[bytes, ...]:
    """The roots (DER) above the certificates by which devices attest keys: the Apple Enterprise Attestation Root CA."""
    return _read("apple_enterprise_attestation_root_ca")


def _read(name: str) -> tuple[bytes, ...]:
    return der_from_pem(resources.files("muster.crypto.apple").joinpath(f"{name}.pem").read_bytes())
