"""Configuration profiles signed: a CMS SignedData around the property list.

Source: Apple, "Configuring multiple devices using profiles": a signed profile is shown with its signer's name.
"""

from muster.crypto.cms.signing import SignerIdentity, sign_attached


class ProfileSigner:
    """Signs profiles with *signer*; *chain* holds the certificates between it and its root (DER)."""

    def __init__(self, signer: SignerIdentity, chain: tuple[bytes, ...] = ()) -> None:
        self._signer = signer
        self._chain = chain

    def sign(self, profile_xml: bytes) -> bytes:
        """Return the signed profile, DER."""
        return sign_attached(profile_xml, self._signer, chain=self._chain)
