"""The published RSA keys, which simulated devices share out among themselves."""

import re
from functools import cache
from importlib import resources

from muster.crypto.keys import RSAPrivateKey, load_private_key

PRIVATE_KEY_BLOCK = re.compile(rb"-----BEGIN PRIVATE KEY-----\n.+?-----END PRIVATE KEY-----\n", re.DOTALL)


@cache
def published_keys() -> tuple[RSAPrivateKey, ...]:
    """The 32 keys of 2048 bits in `rsa2048.pem`, always in the same order; read once.

    Everybody has them: `muster.crypto.well_known_keys` is how a server tells that it must not trust them.
    """
    pem = resources.files("muster.simulator.keys").joinpath("rsa2048.pem").read_bytes()
    keys = []
    for block in PRIVATE_KEY_BLOCK.findall(pem):
        key = load_private_key(block, is_ours=True)
        assert isinstance(key, RSAPrivateKey)
        keys.append(key)
    return tuple(keys)
