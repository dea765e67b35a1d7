"""Queries are read, or refused with the place that is wrong and what would do."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.domain.queries.errors import QueryError, pointed_out
from muster.domain.queries.fields import FIELDS
from muster.domain.queries.parser import MAXIMUM_CONDITIONS, MAXIMUM_DEPTH, MAXIMUM_VALUES, parse_query
from muster.domain.queries.syntax import (
    AllOf,
    AnyOf,
    Compare,
    Comparison,
    InGroup,
    IsKnown,
    Moment,
    Not,
    OneOf,
    Query,
    VersionTest,
)
from muster.domain.queries.tokens import MAXIMUM_CHARACTERS, MAXIMUM_TEXT

MAC = Compare(FIELDS["platform"], Comparison.EQUAL, "macOS")
OLD = Compare(FIELDS["os_version"], Comparison.LESS, "26")
SUPERVISED = Compare(FIELDS["is_supervised"], Comparison.EQUAL, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("platform = 'macOS' and os_version < '26'", AllOf((MAC, OLD))),
        ('PLATFORM == "macos" AND os_version<26', AllOf((MAC, OLD))),
        ("platform=macOS", MAC),
        ("platform != 'macOS'", Not(MAC)),
        ("platform <> 'macOS'", Not(MAC)),
        ("is_supervised", SUPERVISED),
        ("is_supervised = true", SUPERVISED),
        ("not is_supervised", Not(SUPERVISED)),
        ("is_supervised or platform = 'macOS' and os_version < '26'", AnyOf((SUPERVISED, AllOf((MAC, OLD))))),
        ("(is_supervised or platform = 'macOS') and os_version < '26'", AllOf((AnyOf((SUPERVISED, MAC)), OLD))),
        ("not not (is_supervised)", Not(Not(SUPERVISED))),
        ("name = 'Ada''s Mac'", Compare(FIELDS["name"], Comparison.EQUAL, "Ada's Mac")),
        ('name contains "Ada\'s"', Compare(FIELDS["name"], Comparison.CONTAINS, "Ada's")),
        ("name not starts with 'lab-'", Not(Compare(FIELDS["name"], Comparison.STARTS_WITH, "lab-"))),
        ("serial in ('A', 'B')", OneOf(FIELDS["serial"], ("A", "B"))),
        ("serial not in ('A')", Not(OneOf(FIELDS["serial"], ("A",)))),
        ("os_version starts with 26.1", Compare(FIELDS["os_version"], Comparison.STARTS_WITH, "26.1")),
        ("name is known", IsKnown(FIELDS["name"])),
        ("name is not known", Not(IsKnown(FIELDS["name"]))),
        ("name is unknown", Not(IsKnown(FIELDS["name"]))),
        ("last_contact < 7 days ago",
         Compare(FIELDS["last_contact"], Comparison.LESS, Moment(offset=timedelta(days=-7)))),
        ("identity_expires < in 2 weeks",
         Compare(FIELDS["identity_expires"], Comparison.LESS, Moment(offset=timedelta(days=14)))),
        ("control_since >= Monday",
         Compare(FIELDS["control_since"], Comparison.AT_LEAST, Moment(is_midnight=True, weekday=0))),
        ("identity_expires <= now", Compare(FIELDS["identity_expires"], Comparison.AT_MOST, Moment())),
        ("enrolled >= '2026-01-31'",
         Compare(FIELDS["enrolled"], Comparison.AT_LEAST, Moment(datetime(2026, 1, 31, tzinfo=UTC)))),
        ("enrolled > '2026-01-31 14:00+02:00'",
         Compare(FIELDS["enrolled"], Comparison.GREATER, Moment(datetime(2026, 1, 31, 12, tzinfo=UTC)))),
        ("group = 'lab'", InGroup("lab", 9)),
        ("group != 'lab'", Not(InGroup("lab", 10))),
        ("group in ('lab', 'desk')", AnyOf((InGroup("lab", 11), InGroup("desk", 18)))),
        ("app = 'com.apple.Pages'", Compare(FIELDS["app"], Comparison.EQUAL, "com.apple.Pages")),
        ("app = 'com.apple.Pages' version < '14.1'",
         Compare(FIELDS["app"], Comparison.EQUAL, "com.apple.Pages", VersionTest(Comparison.LESS, "14.1"))),
        ("app != 'com.apple.Pages' version >= 14",
         Not(Compare(FIELDS["app"], Comparison.EQUAL, "com.apple.Pages", VersionTest(Comparison.AT_LEAST, "14")))),
    ],
)  # fmt: skip
def test_query_means_what_it_says(text: str, expected: Query) -> None:
    assert parse_query(text) == expected


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("", 1, "to mean every device write: state is known"),
        ("platfrom = 'macOS'", 1, "'platfrom' is no field; did you mean platform?"),
        ("zzz = 1", 1, "there are id, serial, name"),
        ("platform = 'macOSX'", 12, "platform is one of 'iOS', 'macOS'"),
        ("platform = 'macOSX'", 12, "did you mean 'macOS'?"),
        ("platform < 'macOS'", 10, "can't be compared by <; it goes on with =, !=, in, is known"),
        ("platform", 9, "platform goes on with =, !=, in, is known, and not with nothing"),
        ("os_version < 'Tahoe'", 14, "os_version is a version, such as '26.1', and 'Tahoe' is none"),
        ("os_version < ", 14, "the end of the query is none"),
        ("os_version contains '26'", 12, "starts with"),
        ("name = Ada", 8, "name is compared with text in quotes"),
        ("name = ''", 8, "with something in them"),
        ("name = 'Ada", 8, "the quote that begins here is never closed"),
        ("name = \u2018Ada\u2019", 8, "typographer's quote"),
        ("name = 'Ada' platform = 'iOS'", 14, "join conditions with and, or"),
        ("name = 'Ada' and", 17, "a condition is missing at the end"),
        ("(name = 'Ada'", 14, "the parenthesis of column 1 is not closed here"),
        ("name = 'Ada')", 13, "can't stand here"),
        ("name = 'a\tb'", 8, "no control characters"),
        ("name & 'x'", 6, "& means nothing in a query"),
        ("is_supervised = 'yes'", 17, "true or false"),
        ("last_contact < 7 fortnights ago", 18, "there are minutes, hours, days, weeks"),
        ("last_contact < 7 days", 22, "a span of time goes on with ago"),
        ("last_contact < 1.5 days ago", 16, "1.5 is no whole number of days"),
        ("last_contact < 99999999999999999999999 days ago", 16, "no whole number"),
        ("last_contact < 9999999 days ago", 16, "longer than a century"),
        ("last_contact = '2026-01-01'", 14, "it goes on with <, <=, >, >=, is known"),
        ("last_contact < 'yesterday'", 16, "'2026-01-31 14:00' (UTC), 7 days ago, monday or in 30 days"),
        ("last_contact < '2026-02-30'", 16, "no date that there is"),
        ("last_contact < '0001-01-01'", 16, "is not between 1970 and 9000"),
        ("last_contact < '9999-12-31 23:59-10:00'", 16, "no date that there is"),
        ("serial in 'A'", 11, "in goes on with ("),
        ("serial in ('A' 'B')", 16, "after a comma or goes on with )"),
        ("group is known", 10, "write group = 'its name'"),
        ("name is Ada", 9, "known or unknown; to compare, write ="),
        ("app = 'a' version", 18, "version goes on with"),
        ("app in ('a') version < 2", 14, "version goes after an item of a list"),
        ("name = 'a' version < 2", 12, "version goes after an item of a list"),
    ],
)  # fmt: skip
def test_what_is_no_query_is_refused_with_its_place_and_what_would_do(text: str, column: int, said: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(text)

    assert said in caught.value.message
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("within", "beyond", "said"),
    [
        ("name = '" + "x" * MAXIMUM_TEXT + "'", "name = '" + "x" * (MAXIMUM_TEXT + 1) + "'", "at most 255 characters"),
        ("(" * MAXIMUM_DEPTH + "is_supervised" + ")" * MAXIMUM_DEPTH,
         "(" * (MAXIMUM_DEPTH + 1) + "is_supervised" + ")" * (MAXIMUM_DEPTH + 1), "go 20 deep at most"),
        (" or ".join(["is_supervised"] * MAXIMUM_CONDITIONS),
         " or ".join(["is_supervised"] * (MAXIMUM_CONDITIONS + 1)), "at most 100 conditions"),
        ("serial in (" + ",".join(["'A'"] * MAXIMUM_VALUES) + ")",
         "serial in (" + ",".join(["'A'"] * (MAXIMUM_VALUES + 1)) + ")", "at most 1,000 values"),
        ("group in (" + ",".join(["'A'"] * MAXIMUM_CONDITIONS) + ")",
         "group in (" + ",".join(["'A'"] * (MAXIMUM_CONDITIONS + 1)) + ")", "at most 100 groups"),
        ("is_supervised".ljust(MAXIMUM_CHARACTERS), "is_supervised".ljust(MAXIMUM_CHARACTERS + 1), "50,000 characters"),
    ],
)  # fmt: skip
def test_queries_are_bounded(within: str, beyond: str, said: str) -> None:
    parse_query(within)

    with pytest.raises(QueryError, match=said):
        parse_query(beyond)


def test_the_place_that_is_wrong_is_pointed_out() -> None:
    text = "name = 'Ada'\n and platfrom = 'macOS' " + "and is_supervised " * 10

    with pytest.raises(QueryError) as caught:
        parse_query(text)

    assert pointed_out(text, caught.value).splitlines() == [
        "'platfrom' is no field; did you mean platform?",
        "  name = 'Ada'  and platfrom = 'macOS' and is_supervised and is_supervised and i",
        "                    ^",
    ]


SIGNS = [
    *("and", "or", "not", "(", ")", ",", "=", "!=", "<", "<=", "in", "is", "known", "unknown", "contains", "starts"),
    *("with", "version", "ago", "days", "7", "26.1", "true"),
]
VALUES = ["'x'", "'macOS'", "'2026-01-01'", "'", '"', "\u2018", "now", "-", "\x00"]
PIECES = st.sampled_from([*FIELDS, *SIGNS, *VALUES])


def wrong_at(text: str) -> QueryError | None:
    try:
        parse_query(text)
    except QueryError as error:
        return error
    return None


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=12).map(" ".join) | st.text(max_size=40))
def test_any_text_is_a_query_or_refused_within_its_length(text: str) -> None:
    error = wrong_at(text)

    assert error is None or 1 <= error.column <= len(text) + 1
    assert error is None or pointed_out(text, error)
