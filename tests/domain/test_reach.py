"""What a visit tells: who added to it on the way, where nobody of ours could have."""

import pytest

from muster.domain.reach import Way, reach_of

ADDRESS = "198.51.100.7"


@pytest.mark.parametrize(
    ("headers", "is_tls", "is_through_proxy", "way", "hops"),
    [
        ({"user-agent": "Safari"}, True, False, Way.SEALED, ()),
        ({"via": "1.1 squid", "x-forwarded-for": "10.0.0.1"}, True, False, Way.OPENED, ("via", "x-forwarded-for")),
        ({"via": "1.1 nginx", "x-forwarded-for": "10.0.0.1"}, True, True, Way.SEALED, ()),
        ({"forwarded": "for=10.0.0.1"}, False, False, Way.PLAIN, ("forwarded",)),
        ({}, False, True, Way.PLAIN, ()),
    ],
)
def test_headers_of_somebody_in_between_give_him_away(
    headers: dict[str, str], is_tls: bool, is_through_proxy: bool, way: Way, hops: tuple[str, ...]
) -> None:
    reach = reach_of(headers, ADDRESS, is_tls=is_tls, is_through_proxy=is_through_proxy)

    assert (reach.way, reach.hops, reach.address, reach.is_through_proxy) == (way, hops, ADDRESS, is_through_proxy)
