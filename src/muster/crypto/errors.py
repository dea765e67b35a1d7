"""What can go wrong in this layer, as one tree."""


class CryptoError(Exception):
    """Root of every error this package raises for reasons that lie in its input."""


class MalformedMessage(CryptoError):
    """The bytes are not what they claim to be: broken encoding, a missing part, a bound exceeded."""


class BadSignature(CryptoError):
    """The bytes are well formed, but what they claim to have signed was not signed by that key."""


class CannotDecrypt(CryptoError):
    """The key does not open this. Says no more on purpose: detail would serve as an oracle."""


class RefusedAlgorithm(CryptoError):
    """An algorithm that is unknown here, or that is legacy where the policy refuses legacy."""


class WeakKey(CryptoError):
    """A key smaller than the policy asks for, or of a kind that cannot be used here."""


class UnreadableFile(MalformedMessage):
    """A file that somebody gave is not what was asked for: the message says what it is, *remedy* what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy
