"""What it means when libcurl reports an error instead of an answer. Source: libcurl's error codes; RFC 8446, 6.2."""

import re

import pycurl

from muster.protocol.apns import OutcomeClass, PushOutcome

# The status in the outcome of a push that APNs gave none.
NO_STATUS = 0

# pycurl has no names for CURLE_HTTP2_STREAM and CURLE_PROXY.
_E_HTTP2_STREAM = 92
_E_PROXY = 97

# Errors which the next attempt may well not meet: a connection or stream that broke or never came about, and answers
# that did not come in time. Everything else is a fault of configuration and fails the same way again.
_TRANSIENT = frozenset(
    {
        pycurl.E_COULDNT_RESOLVE_PROXY,
        pycurl.E_COULDNT_RESOLVE_HOST,
        pycurl.E_COULDNT_CONNECT,
        pycurl.E_HTTP2,
        pycurl.E_PARTIAL_FILE,
        pycurl.E_OPERATION_TIMEDOUT,
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_GOT_NOTHING,
        pycurl.E_SEND_ERROR,
        pycurl.E_RECV_ERROR,
        pycurl.E_SSL_SHUTDOWN_FAILED,
        _E_HTTP2_STREAM,
        _E_PROXY,
    }
)

# A certificate that cannot be read; a key that cannot be, or is not the certificate's.
_UNUSABLE_CERTIFICATE = frozenset({pycurl.E_SSL_CERTPROBLEM, pycurl.E_BAD_FUNCTION_ARGUMENT})

# The TLS alerts by which a server refuses our certificate. With TLS 1.3 they come after the handshake, as a read error.
_CERTIFICATE_ALERT = re.compile(
    r"alert (bad certificate|unsupported certificate|certificate revoked|certificate expired|certificate unknown"
    r"|unknown ca|access denied|certificate required)"
)


def outcome_of_error(code: int, message: str) -> PushOutcome:
    """Return the outcome of a push that ended in libcurl error *code* with libcurl's own *message*.

    `certificate_refused` when the peer refused our certificate with a TLS alert, `our_fault` when the certificate or
    its key cannot be used at all, else `no_answer`; the reason is the message, or the code where libcurl has no words.
    """
    if _CERTIFICATE_ALERT.search(message):
        outcome_class = OutcomeClass.CERTIFICATE_REFUSED
    elif code in _UNUSABLE_CERTIFICATE:
        outcome_class = OutcomeClass.OUR_FAULT
    else:
        outcome_class = OutcomeClass.NO_ANSWER
    return PushOutcome(outcome_class, NO_STATUS, reason=message or f"libcurl error {code}")


def is_worth_another_attempt(code: int, outcome: PushOutcome) -> bool:
    """Say whether sending the push again may end better. APNs may have taken it already: then it wakes twice."""
    return outcome.outcome_class is OutcomeClass.NO_ANSWER and code in _TRANSIENT
