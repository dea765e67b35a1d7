"""A profile that makes certificates known, and nothing else."""

from tests.support.authorities import certified, ec_keys

from muster.protocol.plist import read_plist
from muster.protocol.profile_payloads import TrustAnchor, decode_trust_anchor, payloads_of
from muster.protocol.trust_profile import encode_trust_profile


def test_trust_profile_holds_each_certificate_under_an_identifier_of_its_own() -> None:
    anchors = [
        TrustAnchor(
            f"UUID-{number}", f"server {number}", certified("CA", ec_keys()[number], is_ca=True).certificate_der
        )
        for number in range(2)
    ]

    profile = read_plist(encode_trust_profile("org.example.trust", "UUID", "Example trust", anchors))

    payloads = payloads_of(profile)
    assert (profile["PayloadType"], profile["PayloadIdentifier"]) == ("Configuration", "org.example.trust")
    assert {payload["PayloadType"] for payload in payloads} == {"com.apple.security.root"}
    assert [decode_trust_anchor(payload) for payload in payloads] == anchors
    assert len({str(payload["PayloadIdentifier"]) for payload in payloads}) == 2
