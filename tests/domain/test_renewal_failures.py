"""Why a renewal failed, read from what devices say."""

import pytest

from muster.domain.errors import RefusalCode
from muster.domain.renewal_failures import (
    EXPLANATIONS,
    MAXIMUM_TEXT,
    RenewalFailure,
    classify_chain,
    classify_refusal,
    describe_chain,
)
from muster.protocol.connect import ErrorItem

INSTALLATION = ErrorItem(4001, "MCInstallationErrorDomain", "Profil konnte nicht installiert werden", "Not installed")
PROFILE = ErrorItem(1009, "MCProfileErrorDomain", "The profile could not be installed.")


@pytest.mark.parametrize(
    ("chain", "failure"),
    [
        ((INSTALLATION, PROFILE, ErrorItem(22005, "MCSCEPErrorDomain")), RenewalFailure.SCEP_UNREACHABLE),
        ((INSTALLATION, ErrorItem(-1004, "NSURLErrorDomain")), RenewalFailure.SCEP_UNREACHABLE),
        ((INSTALLATION, PROFILE, ErrorItem(22013, "MCSCEPErrorDomain")), RenewalFailure.SCEP_REFUSED),
        ((INSTALLATION, ErrorItem(12012, "MCMDMErrorDomain")), RenewalFailure.PROFILE_REJECTED),
        ((INSTALLATION, ErrorItem(12002, "MCMDMErrorDomain")), RenewalFailure.CHECK_IN_FAILED),
        ((ErrorItem(12002, "MCMDMErrorDomain"), ErrorItem(-1004, "NSURLErrorDomain")), RenewalFailure.CHECK_IN_FAILED),
        ((INSTALLATION, ErrorItem(23001, "MCHTTPTransactionErrorDomain")), RenewalFailure.CHECK_IN_FAILED),
        ((ErrorItem(4009, "MCInstallationErrorDomain"),), RenewalFailure.DECLINED),
        ((ErrorItem(12063, "MCMDMErrorDomain"),), RenewalFailure.DECLINED),
        ((INSTALLATION, PROFILE), RenewalFailure.UNKNOWN),
        ((ErrorItem(-319, "ConfigProfilePluginDomain", "The SCEP server said no"),), RenewalFailure.SCEP_REFUSED),
        (
            (ErrorItem(1, "CPProfileManager", "The new MDM payload does not match the old payload."),),
            RenewalFailure.PROFILE_REJECTED,
        ),
        ((ErrorItem(1, "CPProfileManager", "The user cancelled."),), RenewalFailure.DECLINED),
        ((ErrorItem(97, "MDMClientError"),), RenewalFailure.UNKNOWN),
        ((), RenewalFailure.UNKNOWN),
    ],
)
def test_class_of_an_error_chain(chain: tuple[ErrorItem, ...], failure: RenewalFailure) -> None:
    assert classify_chain(chain) is failure


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (RefusalCode.CHALLENGE_EXPIRED, RenewalFailure.CHALLENGE_EXPIRED),
        (RefusalCode.CHALLENGE_USED, RenewalFailure.CHALLENGE_USED),
        (RefusalCode.KEY_WEAK, RenewalFailure.SCEP_REFUSED),
    ],
)
def test_class_of_a_refusal_of_ours(code: RefusalCode, failure: RenewalFailure) -> None:
    assert classify_refusal(code) is failure


def test_every_failure_is_explained() -> None:
    assert set(EXPLANATIONS) == set(RenewalFailure)


def test_description_is_the_deepest_error_on_one_line() -> None:
    said = describe_chain((INSTALLATION, ErrorItem(22013, "MCSCEPErrorDomain", "Die\nAntwort", "The\nreply")))

    assert said == "The reply (MCSCEPErrorDomain 22013)"


def test_description_is_bounded() -> None:
    said = describe_chain((ErrorItem(1, "MCMDMErrorDomain", "x" * 9000),))

    assert len(said) == MAXIMUM_TEXT


def test_no_chain_says_so() -> None:
    assert describe_chain(()) == "the device gave no reason"
