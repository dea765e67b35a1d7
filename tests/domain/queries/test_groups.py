"""Groups that queries name."""

import pytest

from muster.domain.queries.errors import QueryError
from muster.domain.queries.fields import FIELDS
from muster.domain.queries.groups import (
    MAXIMUM_NAME,
    GroupDefinition,
    name_key,
    names_of,
    resolve,
    unfit_name,
)
from muster.domain.queries.parser import parse_query
from muster.domain.queries.syntax import AllOf, Compare, Comparison, IsMember, Not, Query

SUPERVISED = Compare(FIELDS["is_supervised"], Comparison.EQUAL, True)
NAMED = Compare(FIELDS["name"], Comparison.EQUAL, "a")


def groups(**queries: str | None) -> dict[str, GroupDefinition]:
    return {name_key(name): GroupDefinition(f"id-{name}", name, query) for name, query in queries.items()}


STORED = groups(Lab=None, Ours="is_supervised", Both="group = 'lab' and group != 'ours'")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("group = 'lab'", IsMember("id-Lab")),
        ("group = 'OURS' and name = 'a'", AllOf((SUPERVISED, NAMED))),
        ("group != 'both'", Not(AllOf((IsMember("id-Lab"), Not(SUPERVISED))))),
        ("name = 'a'", NAMED),
    ],
)
def test_group_stands_for_what_it_means(text: str, expected: Query) -> None:
    assert resolve(parse_query(text), STORED) == expected


@pytest.mark.parametrize(
    ("text", "within", "said"),
    [
        ("group = 'labs'", (), "there is no group 'labs'; did you mean 'Lab'?"),
        ("group = 'other'", (), "see `muster groups list`"),
        ("group = 'lab'", ("LAB",), r"would be in itself \(lab > lab\)"),
        ("name = 'a' or group = 'both'", ("ours",), r"would be in itself \(ours > both > ours\)"),
    ],
)
def test_group_that_means_nothing_is_refused(text: str, within: tuple[str, ...], said: str) -> None:
    with pytest.raises(QueryError, match=said) as caught:
        resolve(parse_query(text), STORED, within)

    assert caught.value.column == text.index("group") + len("group = ") + 1


def chain(length: int) -> dict[str, GroupDefinition]:
    named = {f"g{number}": f"group = 'g{number + 1}'" for number in range(length - 1)}
    return groups(**named, **{f"g{length - 1}": "is_supervised"})


def test_groups_name_groups_ten_deep() -> None:
    assert resolve(parse_query("group = 'g0'"), chain(10)) == SUPERVISED

    with pytest.raises(QueryError, match="10 deep at most"):
        resolve(parse_query("group = 'g0'"), chain(11))


def test_what_groups_become_together_is_bounded() -> None:
    twice = {f"g{number}": f"group = 'g{number + 1}' or group = 'g{number + 1}'" for number in range(9)}
    many = groups(big="serial in (" + ",".join(["'A'"] * 1000) + ")")
    deep = groups(a="(" * 19 + "not is_supervised" + ")" * 19)

    with pytest.raises(QueryError, match="more than 500 conditions"):
        resolve(parse_query("group = 'g0'"), groups(**twice, g9="is_supervised"))
    with pytest.raises(QueryError, match="10,000 values"):
        resolve(parse_query(" or ".join(["group = 'big'"] * 11)), many)
    assert resolve(parse_query("group = 'a'"), deep) == Not(SUPERVISED)


def test_nesting_of_groups_within_groups_is_bounded() -> None:
    nested = {f"g{number}": "not " * 15 + f"group = 'g{number + 1}'" for number in range(3)}

    with pytest.raises(QueryError, match="nested more than 40 deep"):
        resolve(parse_query("group = 'g0'"), groups(**nested, g3="is_supervised"))


def test_names_of_groups_are_told_apart_without_case() -> None:
    assert names_of(parse_query("group = 'Lab' and not (group = 'LAB' or name = 'x')")) == {"lab"}


@pytest.mark.parametrize("name", ["", " lab", "lab ", "a\nb", "x" * (MAXIMUM_NAME + 1)])
def test_unfit_names_are_refused(name: str) -> None:
    assert unfit_name(name) is not None


@pytest.mark.parametrize("name", ["lab", "Front desk, 2nd floor", "\u00fc", "x" * MAXIMUM_NAME])
def test_ordinary_names_are_fit(name: str) -> None:
    assert unfit_name(name) is None
