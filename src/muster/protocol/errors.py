"""What can be wrong with bytes that a peer sent us.

Every decoder of this package raises these and nothing else. A message names the key and the limit that was broken,
never the content: it goes to logs and to audit records, and bodies hold secrets.
"""


class ProtocolError(Exception):
    """The peer did not keep to the protocol. Root of this package's errors."""


class MalformedMessage(ProtocolError):
    """The bytes are not a message as the protocol defines it: the peer's fault, and the same bytes will fail again."""


class UnknownMessageType(MalformedMessage):
    """A well-formed check-in whose MessageType none of our messages has: newer than this server, or not a device."""


class BadSignature(ProtocolError):
    """A signature is well formed, but does not cover the content it came with."""


class RefusedAlgorithm(ProtocolError):
    """The message is protected by an algorithm which the operator's policy refuses."""
