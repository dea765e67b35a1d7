"""What enrollment profiles of this server say."""

from pathlib import Path

from tests.support.authorities import certified, ec_keys

from muster.bootstrap.profiles import enrollment_terms
from muster.crypto.certificates import pem_from_der
from muster.settings import Settings


def test_an_anchor_named_twice_is_in_the_profile_once(tmp_path: Path) -> None:
    one, other = (certified(name, ec_keys()[0], is_ca=True).certificate_der for name in ("One", "Other"))
    file = tmp_path / "anchors.pem"
    file.write_bytes(pem_from_der([one, other, one]))

    terms = enrollment_terms(Settings.model_validate({"profile_trust_anchors": file}))

    assert terms.trust_anchors_der == (one, other)
