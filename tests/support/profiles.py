"""What tests ask of enrollment profiles."""

from muster.protocol.profile import EnrollmentProfile, ScepPayload


def scep_of(profile: EnrollmentProfile) -> ScepPayload:
    """The SCEP payload that is the identity of *profile*."""
    assert isinstance(profile.identity, ScepPayload)
    return profile.identity
