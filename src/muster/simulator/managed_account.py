"""Account-driven enrollment: somebody signs in with a Managed Apple Account in the settings of a device.

Sources: Apple, "Implementing the simple authentication user-enrollment flow", "Onboarding users with account sign-in",
"Discover Authentication Servers".
"""

from urllib.parse import urlencode

from muster.protocol.account_driven import (
    MAX_DISCOVERY_BYTES,
    WELL_KNOWN_PATH,
    ModelFamily,
    ServiceDiscovery,
    ServiceVersion,
    decode_service_discovery,
    read_www_authenticate,
)
from muster.protocol.errors import MalformedMessage
from muster.protocol.machine_info import MachineInfo, encode_machine_info
from muster.protocol.profile import EnrollmentMode, EnrollmentProfile
from muster.simulator.device_authority import device_authority
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.facts import Platform
from muster.simulator.installing import install, read_mobileconfig
from muster.simulator.machine import Machine
from muster.simulator.setup_assistant import error_in, post_signed, profile_in
from muster.simulator.transport import ConnectionLost
from muster.simulator.web_view import Credentials, domain_of, visit

MODEL_FAMILIES = {
    Platform.MAC: ModelFamily.MAC,
    Platform.IPHONE: ModelFamily.IPHONE,
    Platform.IPAD: ModelFamily.IPAD,
    Platform.APPLE_TV: ModelFamily.APPLE_TV,
}

MODES = {ServiceVersion.BYOD: EnrollmentMode.BYOD, ServiceVersion.ADDE: EnrollmentMode.ADDE}


async def sign_in_to_account(device: Machine, credentials: Credentials) -> None:
    """Find the server of the account's domain, sign in on its page, and install the profile that it gives.

    From then on every request of the MDM client carries the access token. Raises EnrollmentFailed; the device is then
    as it was. Step "discovery": no server; "sign-in": refused; "profile": not the profile for this account.
    """
    service = await _discover(device, credentials.user_name)
    access_token, mobileconfig = await _enter(device, service, credentials)
    _check(read_mobileconfig(mobileconfig).profile, service, credentials.user_name)
    device.requests.bearer = access_token
    try:
        await install(device, mobileconfig)
    except EnrollmentFailed:
        device.requests.bearer = None
        raise


async def sign_in_again(device: Machine, credentials: Credentials) -> None:
    """Sign in anew on the page that the server named when it refused the access token. Raises EnrollmentFailed."""
    assert device.sign_in_page is not None, "nobody asked"
    device.requests.bearer = await _access_token(device, device.sign_in_page, credentials)
    device.sign_in_page = None


async def _discover(device: Machine, user_name: str) -> ServiceDiscovery:
    family = MODEL_FAMILIES[device.facts.platform]
    query = urlencode({"user-identifier": user_name, "model-family": family.value})
    try:
        device.require_a_voice()
        response = await device.requests.get(f"https://{domain_of(user_name)}{WELL_KNOWN_PATH}?{query}")
    except ConnectionLost as error:
        raise EnrollmentFailed("discovery", "no connection") from error
    if not response.is_success or len(response.body) > MAX_DISCOVERY_BYTES:
        refusal = error_in(response)
        raise EnrollmentFailed("discovery", f"answered {response.status}" if refusal is None else refusal.code)
    try:
        return decode_service_discovery(response.body)
    except MalformedMessage as error:
        raise EnrollmentFailed("discovery", str(error)) from error


async def _enter(device: Machine, service: ServiceDiscovery, credentials: Credentials) -> tuple[str, bytes]:
    """Ask for the profile, sign in as the server wants it, ask again. Returns the access token and the profile."""
    facts = device.facts
    info = MachineInfo(product=facts.product.product_name, version=facts.build_version, language="en_US")
    born_with = device_authority().certify(facts)
    cms = encode_machine_info(info, born_with.signer, born_with.chain)
    challenge = await post_signed(device, service.base_url, cms)
    page = read_www_authenticate(challenge.headers.get("www-authenticate", ""))
    if challenge.status != 401 or page is None:
        raise EnrollmentFailed("sign-in", f"answered {challenge.status} without a page to sign in")
    access_token = await _access_token(device, page, credentials)
    return access_token, profile_in(await post_signed(device, service.base_url, cms, bearer=access_token))


async def _access_token(device: Machine, page: str, credentials: Credentials) -> str:
    separator = "&" if "?" in page else "?"
    url = page + separator + urlencode({"user-identifier": credentials.user_name})
    landing = await visit(device.requests.transport, url, credentials=credentials)
    if landing.access_token is None:
        raise EnrollmentFailed("sign-in", "the page ended without an access token")
    return landing.access_token


def _check(profile: EnrollmentProfile, service: ServiceDiscovery, user_name: str) -> None:
    if profile.enrollment_mode is not MODES[service.version]:
        raise EnrollmentFailed("profile", "EnrollmentMode is not what service discovery said")
    if (profile.assigned_managed_apple_id or "").lower() != user_name.lower():
        raise EnrollmentFailed("profile", "AssignedManagedAppleID is not the account that signed in")
