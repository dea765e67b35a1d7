"""What answers say: typed facts and lists, what is odd kept and marked, and never an exception."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.domain.inventory.test_values import values
from tests.support.site import NOT_AFTER, identity_of

from muster.domain.faults import Fault
from muster.domain.inventory import reading
from muster.domain.inventory.kinds import KINDS, InventoryKind
from muster.domain.inventory.learned import Learned, LearnedFact
from muster.domain.inventory.reading import (
    MAXIMUM_FACTS,
    MAXIMUM_FAULTS,
    MAXIMUM_IDENTIFIER_CHARACTERS,
    MAXIMUM_KEY_CHARACTERS,
    read_answer,
)
from muster.domain.inventory.values import instant_of
from muster.protocol.plist import PlistValue

APPS = InventoryKind.INSTALLED_APPLICATION_LIST


def learned(kind: InventoryKind, held: PlistValue, request: dict[str, PlistValue] | None = None) -> Learned:
    found, faults = read_answer(kind, request or {}, {KINDS[kind].answer_key: held})
    assert found is not None
    assert faults == ()
    return found


def test_facts_go_by_their_path() -> None:
    said: dict[str, PlistValue] = {
        "FDE_Enabled": True,
        "ManagementStatus": {"UserApprovedEnrollment": True},
        "SecureBoot": {},
    }

    assert learned(InventoryKind.SECURITY_INFO, said).facts == {
        "FDE_Enabled": LearnedFact(True),
        "ManagementStatus.UserApprovedEnrollment": LearnedFact(True),
    }


def test_restrictions_go_by_section_and_name() -> None:
    said: dict[str, PlistValue] = {
        "restrictedBool": {"allowCamera": {"value": True}},
        "restrictedValue": {"maxInactivity": {"value": 5}},
        "union": {"apps": {"values": ["a"]}},
    }

    assert learned(InventoryKind.RESTRICTIONS, said).facts == {
        "restrictedBool.allowCamera": LearnedFact(True),
        "restrictedValue.maxInactivity": LearnedFact(5),
        "union.apps": LearnedFact(["a"]),
    }


def test_value_of_another_type_is_kept_marked_and_told() -> None:
    found, faults = read_answer(InventoryKind.DEVICE_INFORMATION, {}, {"QueryResponses": {"OSVersion": 26}})

    assert found is not None
    assert found.facts == {"OSVersion": LearnedFact(26, is_odd=True)}
    assert faults == (Fault("QueryResponses.OSVersion", "is an integer and should be a string"),)


def test_unknown_key_is_kept() -> None:
    assert learned(InventoryKind.DEVICE_INFORMATION, {"Newest": [1]}).facts == {"Newest": LearnedFact([1])}


def test_secrets_and_certificates_are_left_to_their_places() -> None:
    assert learned(InventoryKind.SECURITY_INFO, {"FDE_PersonalRecoveryKeyCMS": b"x"}).facts == {}
    assert learned(InventoryKind.DEVICE_INFORMATION, {"PushToken": b"x"}).facts == {}


@pytest.mark.parametrize(
    ("kind", "item", "identifier", "name", "version"),
    [
        (InventoryKind.PROFILE_LIST, {"PayloadIdentifier": "a", "PayloadDisplayName": "A"}, "a", "A", None),
        (APPS, {"Identifier": "a", "Name": "A", "ShortVersion": "1.2", "Version": "120"}, "a", "A", "1.2"),
        (APPS, {"Name": "A", "Path": "/A.app"}, "/A.app", "A", None),
        (InventoryKind.USER_LIST, {"UserName": "ada", "UserGUID": "G", "FullName": "Ada"}, "G", "Ada", None),
        (InventoryKind.AVAILABLE_OS_UPDATES, {"ProductKey": "k", "Version": "26.1"}, "k", None, "26.1"),
        (InventoryKind.PROVISIONING_PROFILE_LIST, {"UUID": "u", "Name": "P"}, "u", "P", None),
    ],
)
def test_items_are_told_apart(
    kind: InventoryKind, item: dict[str, PlistValue], identifier: str, name: str | None, version: str | None
) -> None:
    (found,) = learned(kind, [item]).items.items()

    assert (found[0], found[1].name, found[1].version) == (identifier, name, version)
    assert found[1].detail == item


def test_managed_applications_go_by_their_place() -> None:
    found = learned(InventoryKind.MANAGED_APPLICATION_LIST, {"com.example": {"Status": "Managed"}})

    assert found.items["com.example"].detail == {"Status": "Managed"}


def test_certificate_goes_by_its_hash_and_says_when_it_ends() -> None:
    der = identity_of(1).certificate_der

    (found,) = learned(
        InventoryKind.CERTIFICATE_LIST, [{"CommonName": "device 1", "IsIdentity": True, "Data": der}]
    ).items.items()

    assert found[0] == hashlib.sha256(der).hexdigest()
    assert instant_of(found[1].detail["NotAfter"]) == NOT_AFTER
    assert "Data" not in found[1].detail


def test_certificate_that_is_none_is_kept_by_its_hash() -> None:
    item: PlistValue = [{"CommonName": "x", "IsIdentity": False, "Data": b"no certificate"}]

    (found,) = learned(InventoryKind.CERTIFICATE_LIST, item).items.values()

    assert found.detail == {"CommonName": "x", "IsIdentity": False}


def test_application_that_is_there_twice_goes_by_its_path_in_the_second_place() -> None:
    listed: PlistValue = [
        {"Identifier": "a", "Path": "/old/A.app"},
        {"Identifier": "a", "Path": "/A.app"},
        {"Identifier": "b", "Path": "/B.app"},
        {"Identifier": "c"},
        {"Identifier": "c"},
    ]

    assert list(learned(APPS, listed).items) == ["a /old/A.app", "a", "b", "c", "c #2"]


@pytest.mark.parametrize(
    ("kind", "request_keys", "is_whole", "absent"),
    [
        (APPS, {}, True, []),
        (APPS, {"ManagedAppsOnly": True}, False, []),
        (APPS, {"ManagedAppsOnly": False}, True, []),
        (APPS, {"Identifiers": ["a", "z"]}, False, ["z"]),
        (InventoryKind.PROFILE_LIST, {"ManagedOnly": True}, False, []),
    ],
)
def test_filtered_list_speaks_of_what_it_was_asked_for(
    kind: InventoryKind, request_keys: dict[str, PlistValue], is_whole: bool, absent: list[str]
) -> None:
    found = learned(kind, [{"Identifier": "a", "PayloadIdentifier": "a"}], request_keys)

    assert (found.is_whole, sorted(found.absent)) == (is_whole, absent)


def test_list_of_some_keys_says_no_more_of_an_item() -> None:
    assert learned(APPS, [{"Identifier": "a"}], {"Items": ["Identifier"]}).merges
    assert read_answer(APPS, {"Items": ["Name"]}, {"InstalledApplicationList": [{"Name": "A"}]}) == (None, ())


def test_what_is_no_item_is_left_out_and_told() -> None:
    found, faults = read_answer(
        APPS, {}, {"InstalledApplicationList": ["text", {"Identifier": ""}, {"Identifier": "a"}]}
    )

    assert found is not None
    assert list(found.items) == ["a"]
    assert [fault.key_path for fault in faults] == ["InstalledApplicationList[0]", "InstalledApplicationList[1]"]


@pytest.mark.parametrize("kind", InventoryKind)
def test_answer_that_holds_nothing_of_its_kind_is_told(kind: InventoryKind) -> None:
    for answer in ({}, {KINDS[kind].answer_key: "text"}):
        found, (fault,) = read_answer(kind, {}, answer)
        assert found is None
        assert fault.key_path == KINDS[kind].answer_key


def test_more_facts_than_are_read_are_told() -> None:
    found, faults = read_answer(
        InventoryKind.DEVICE_INFORMATION, {}, {"QueryResponses": {f"Key{n}": n for n in range(MAXIMUM_FACTS + 1)}}
    )

    assert found is not None
    assert (len(found.facts), len(faults)) == (MAXIMUM_FACTS, 1)


def test_more_items_than_are_read_make_no_whole_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAXIMUM_ITEMS", 2)

    found, (fault,) = read_answer(APPS, {}, {"InstalledApplicationList": [{"Identifier": f"{n}"} for n in range(3)]})

    assert found is not None
    assert (len(found.items), found.is_whole) == (2, False)
    assert "3 items" in fault.what


def test_faults_of_a_long_list_are_not_all_told() -> None:
    listed: list[PlistValue] = [{"Identifier": f"{n}", "Name": 1} for n in range(MAXIMUM_FAULTS * 2)]

    _, faults = read_answer(APPS, {}, {"InstalledApplicationList": listed})

    assert len(faults) == MAXIMUM_FAULTS


def test_long_identifiers_and_keys_stay_apart() -> None:
    long = "x" * 5000
    apps = learned(APPS, [{"Identifier": f"{long}1"}, {"Identifier": f"{long}2"}]).items
    facts = learned(InventoryKind.DEVICE_INFORMATION, {f"{long}1": 1, f"{long}2": 2}).facts

    assert (len(apps), len(facts)) == (2, 2)
    assert all(len(name) <= MAXIMUM_IDENTIFIER_CHARACTERS for name in apps)
    assert all(len(name) <= MAXIMUM_KEY_CHARACTERS for name in facts)


NAMES = st.sampled_from(
    ["Identifier", "Name", "Path", "Data", "UUID", "UserName", "PayloadIdentifier", "PayloadContent", "OSVersion",
     "restrictedBool", "value", "ManagementStatus", "ProductKey"]
)  # fmt: skip

ITEMS = st.dictionaries(NAMES, values, max_size=6)


@given(
    st.sampled_from(InventoryKind),
    st.dictionaries(NAMES, values, max_size=6)
    | st.lists(st.dictionaries(NAMES, values, max_size=6), max_size=5)
    | values,
    st.dictionaries(st.sampled_from(["Identifiers", "Items", "ManagedOnly"]), values, max_size=2),
)
@settings(max_examples=200)
def test_any_answer_is_read_or_told(kind: InventoryKind, held: Any, request_keys: dict[str, PlistValue]) -> None:
    found, faults = read_answer(kind, request_keys, {KINDS[kind].answer_key: held, "ProfileRestrictions": held})

    assert found is not None or faults or "Items" in request_keys


def test_date_of_a_fact_is_an_instant() -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)

    facts = learned(InventoryKind.DEVICE_INFORMATION, {"LastCloudBackupDate": at}).facts

    assert instant_of(facts["LastCloudBackupDate"].value) == at
    assert instant_of("text") is None
