"""Cryptography: certificates, keys, CMS and sealing; the only package that imports `cryptography`."""
