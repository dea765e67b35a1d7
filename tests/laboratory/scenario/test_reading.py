"""A scenario is read whole, or every fault in it is told with its file, line and key."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laboratory.scenario.texts import FLEET, with_event

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.laboratory.scenario.model import Expectation, Happening, Limits, Rest, Span, Way, Who
from muster.laboratory.scenario.primitives.forms import Lasts
from muster.laboratory.scenario.primitives.table import PRIMITIVES
from muster.laboratory.scenario.read_fleet import MAX_DEVICES
from muster.laboratory.scenario.reading import MAX_BYTES, parse_scenario, read_scenario
from muster.laboratory.scenario.tables import BadScenario
from muster.laboratory.scenario.times import read_duration, write_duration
from muster.simulator.facts import Platform

DAY = timedelta(days=1)


def faults(text: str) -> list[str]:
    with pytest.raises(BadScenario) as caught:
        parse_scenario(text, "x.toml")
    return str(caught.value).splitlines()


def fault(text: str) -> str:
    """The only one, without the file."""
    [line] = faults(text)
    return line.removeprefix("x.toml:").partition(": ")[2]


def happening(text: str) -> Happening:
    return parse_scenario(with_event(text)).happenings[0]


def test_fleet_is_read() -> None:
    scenario = parse_scenario(FLEET, name="story")

    assert (scenario.name, scenario.duration, scenario.begins_at.hour) == ("story", 60 * DAY, 8)
    assert scenario.sites["cafe"].addresses == ("203.0.113.2", "2001:db8::2")
    office = scenario.schedules["office"]
    assert (office.nights, office.weekends, office.rest) == ((time(18), time(8)), True, Rest.SLEEP)
    assert office.holidays == (date(2026, 1, 6),)
    assert office.breaks == ((date(2026, 2, 2), date(2026, 2, 13)),)
    macs, carts = scenario.cohorts["macs"], scenario.cohorts["carts"]
    assert (macs.platform, macs.count, macs.site, macs.users, macs.way) == (Platform.MAC, 5, "school", 2, Way.LINK)
    assert (carts.platform, carts.is_shared, carts.users) == (Platform.IPAD, True, 3)
    assert scenario.cohorts["phones"].own_connects == Span(timedelta(hours=6), timedelta(hours=12))
    assert not scenario.cohorts["ipads"].removable
    assert not scenario.cohorts["own"].supervised
    assert scenario.devices[:2] == ("macs/1", "macs/2")
    assert scenario.devices_of(("school", "phones/2")) == (*[f"macs/{n}" for n in range(1, 6)], "phones/2")


def test_scenario_says_when_it_begins_and_what_the_server_and_its_policies_are() -> None:
    text = FLEET.replace("days = 60", 'days = 60\nseed = 7\nname = "n"\nstart = 2026-03-01')
    text += '[server]\ninventory_hours = 24\n[policy]\ntolerance = "3d"\n'
    text += 'on_enroll = "refuse"\nquiet_hours = "22:00-06:00"\n'
    scenario = parse_scenario(text)

    assert (scenario.seed, scenario.name) == (7, "n")
    assert scenario.begins_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert scenario.settings == {"inventory_hours": 24}
    assert scenario.policies == {"on_enroll": "refuse"}
    assert scenario.control == {"tolerance": 3 * DAY, "quiet_hours": (time(22), time(6))}
    assert set(scenario.control) <= set(ControlPolicy.__dataclass_fields__)


def test_event_is_read() -> None:
    text = 'do = "power_off"\non = ["macs", "phones/2"]\nshare = 0.5\napart = true\nbetween = ["1d", "2d"]'
    read = happening(f'{text}\nfor = ["1h", "2h"]\nevery = "7d"\ntimes = 3')

    assert read.who == Who(("macs", "phones/2"), share=0.5, apart=True)
    assert (read.when, read.duration) == (Span(DAY, 2 * DAY), Span(timedelta(hours=1), timedelta(hours=2)))
    assert (read.every, read.times) == (7 * DAY, 3)
    assert FLEET.count("\n") + 2 == read.line


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ('"10d 4h"', timedelta(days=10, hours=4)),
        ('"1w"', 7 * DAY),
        ("2026-01-06", timedelta(hours=16)),
        ("2026-01-06T08:00:00", DAY),
        ("2026-01-06T10:00:00+02:00", DAY),
    ],
)
def test_times_are_spans_dates_or_instants(at: str, expected: timedelta) -> None:
    assert happening(f'do = "power_off"\non = "macs"\nat = {at}').when == Span(expected, expected)


def test_expectations_are_read() -> None:
    text = """
[[expect]]
on = "macs/3"
at = "10d"
within = "2d"
state = ["inactive", "out_of_control"]
reason = "silent"
[[expect]]
on = "carts"
from = "1d"
recovered = true
user = 3
[expect_overall]
right_reason = 0.95
out_of_control_healthy = 0
"""
    scenario = parse_scenario(FLEET + text)

    assert scenario.expectations[0] == Expectation(
        Who(("macs/3",)),
        10 * DAY,
        10 * DAY,
        within=2 * DAY,
        states=frozenset({ControlState.INACTIVE, ControlState.OUT_OF_CONTROL}),
        reasons=frozenset({Reason.SILENT}),
        line=FLEET.count("\n") + 2,
    )
    assert (scenario.expectations[1].begins_at, scenario.expectations[1].ends_at) == (DAY, 60 * DAY)
    assert scenario.expectations[1].user == 3
    assert scenario.limits == Limits(right_reason=0.95, out_of_control_healthy=0)


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_example_of_each_primitive_is_one(name: str) -> None:
    assert happening(f'do = "{name}"\n{PRIMITIVES[name].example}').primitive == name


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_each_primitive_says_whether_it_lasts_and_refuses_what_it_does_not_know(name: str) -> None:
    primitive = PRIMITIVES[name]
    if primitive.lasts is Lasts.A_MOMENT:
        assert "takes a moment" in fault(with_event(f'do = "{name}"\n{primitive.example}\nfor = "1d"'))
    assert "means nothing here" in fault(with_event(f'do = "{name}"\n{primitive.example}\nnonsense = 1'))
    for parameter in primitive.parameters:
        without = "\n".join(
            line for line in primitive.example.splitlines() if not line.startswith(f"{parameter.name} =")
        )
        assert faults(with_event(f'do = "{name}"\n{without}\n{parameter.name} = []'))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('do = "power_of"\non = "macs"\nat = "1d"', "event[1].do: there is no 'power_of' here; did you mean power_off"),
        ('on = "macs"\nat = "1d"', "event[1]: do is missing"),
        ('do = "power_off"\nat = "1d"', "event[1]: on is missing"),
        ('do = "power_off"\non = "macs"', "event[1]: at (or between) is missing"),
        ('do = "power_off"\non = "mac"\nat = "1d"', "event[1].on: there is no mac; did you mean macs?"),
        (
            'do = "power_off"\non = "macs/6"\nat = "1d"',
            "event[1].on: there is no macs/6: the devices of macs are 1 to 5",
        ),
        ('do = "power_off"\non = "server"\nat = "1d"', "event[1].on: power_off befalls devices, not server"),
        ('do = "server_down"\non = "macs"\nat = "1d"', 'event[1].on: server_down befalls "server", not macs'),
        ('do = "block_apns"\non = "school"\nshare = 0.5\nat = "1d"', "share, count and apart choose among devices"),
        ('do = "power_off"\non = "macs"\nshare = 2\nat = "1d"', "event[1].share: is a number from 0 to 1"),
        ('do = "power_off"\non = "macs"\nshare = 0.5\ncount = 2\nat = "1d"', "share and count exclude one another"),
        ('do = "power_off"\non = "macs"\nat = "61d"', "event[1].at: is after the end of the scenario"),
        ('do = "power_off"\non = "macs"\nat = 2025-01-01', "is before the scenario begins, at 2026-01-05 08:00 UTC"),
        ('do = "power_off"\non = "macs"\nat = "soon"', "event[1].at: is a time since the beginning"),
        ('do = "power_off"\non = "macs"\nbetween = ["2d", "1d"]', "the second time is before the first"),
        ('do = "power_off"\non = "macs"\nbetween = "2d"', "is a list of two times"),
        ('do = "power_off"\non = "macs"\nat = "1d"\nfor = "0s"', "event[1].for: is more than no time"),
        ('do = "power_off"\non = "macs"\nat = "1d"\nevery = "1s"', "event[1].every: is at least a minute"),
        ('do = "power_off"\non = "macs"\nat = "1d"\ntimes = 2', "event[1].times: goes with every"),
        ('do = "hang_on"\non = "macs"\nat = "1d"', "event[1]: command is missing"),
        ('do = "hang_on"\non = "macs"\nat = "1d"\ncommand = "Nonsense"', "there is no command Nonsense"),
        ('do = "reject"\non = "macs"\nat = "1d"\nreason = "BadDeviceTokn"', "did you mean BadDeviceToken?"),
        ('do = "worker_dead"\non = "server"\nat = "1d"\nworker = "pusch"', "event[1].worker: "),
        ('do = "worker_dead"\non = "server"\nat = "1d"\nworker = "pusch"', "did you mean push?"),
        ('do = "join_network"\non = "macs"\nat = "1d"\nsite = "cafee"', "there is no site cafee; did you mean cafe?"),
        ('do = "migrate_identity_to"\non = "macs/1"\nto = "macs/7"\nat = "1d"', "there is no device macs/7"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_event_is_told(text: str, words: str) -> None:
    assert words in fault(with_event(text))


@pytest.mark.parametrize(
    ("former", "latter", "words"),
    [
        ("days = 60", "", "scenario: days is missing"),
        ("days = 60", "days = 0", "scenario.days: is more than 0"),
        ("days = 60", "days = 60\nstrat = 1", "scenario.strat: means nothing here; did you mean start?"),
        ("days = 60", 'days = 60\nstart = "2026-01-01"', "scenario.start: is a date or an instant, not in quotes"),
        ('platform = "Mac"', 'platform = "Mak"', "cohort[1].platform: there is no 'Mak' here; did you mean Mac?"),
        ('platform = "Mac"\n', "", "cohort[1]: platform is missing"),
        ("count = 5\nsite", f"count = {MAX_DEVICES}\nsite", f"the counts make more than {MAX_DEVICES} devices"),
        ('site = "school"', 'site = "scool"', "cohort[1].site: there is no site scool; did you mean school?"),
        ('schedule = "office"', 'schedule = "x"', "cohort[1].schedule: there is no schedule x; there are office"),
        ('name = "own"', 'name = "phones"', "phones is taken already: cohorts and sites share their names"),
        ('name = "own"', 'name = "server"', "server is a word of the language"),
        ('name = "own"', 'name = "a b"', "is a letter, and then letters, digits"),
        ('address = "203.0.113.1"', 'address = "here"', "site[1].address: here is no IP address"),
        ('nights = "18:00-08:00"', 'nights = "18-8"', "schedule[1].nights: is hours of the day"),
        ("[[2026-02-02, 2026-02-13]]", "[2026-02-02]", "schedule[1].breaks: is a list of pairs of dates"),
        ("[2026-01-06]", '["2026-01-06"]', "schedule[1].holidays: is a list of dates, not in quotes"),
        ('own_connects = ["6h", "12h"]', "users = 2", "a device such as iPhone has no users of its own"),
        ('own_connects = ["6h", "12h"]', 'own_connects = ["6h", "1h"]', "is a duration"),
        ("[[site]]", "[server]\ninventory_hour = 1\n[[site]]", "server.inventory_hour: means nothing here; did"),
        ("[[site]]", '[server]\ninventory_hours = "x"\n[[site]]', "server.inventory_hours: input should be"),
        ("[[site]]", '[server]\nlisten = "x"\n[[site]]', "server.listen: is the laboratory's to choose"),
        ("[[site]]", '[policy]\ntolerence = "x"\n[[site]]', "policy.tolerence: is no policy; did you mean tolerance?"),
        ("[[site]]", '[policy]\non_enroll = "maybe"\n[[site]]', "policy.on_enroll: "),
        ("[[site]]", "[expect_overall]\nright_reason = 2\n[[site]]", "expect_overall.right_reason: is a number from 0"),
        ("[[site]]", '[[expect]]\non = "macs"\nat = "1d"\n[[site]]', "nothing is expected"),
        (
            "[[site]]",
            '[[expect]]\non = "macs"\nat = "1d"\nstate = "in_contrl"\n[[site]]',
            "expect[1].state: there is no state in_contrl; did you mean in_control?",
        ),
        (
            "[[site]]",
            '[[expect]]\non = "server"\nat = "1d"\nrecovered = true\n[[site]]',
            "verdicts are of devices, not of server",
        ),
        (
            "[[site]]",
            '[[expect]]\non = "macs"\nfrom = "2d"\nuntil = "1d"\nrecovered = true\n[[site]]',
            "expect[1].until: is before from",
        ),
        (
            "[[site]]",
            '[[expect]]\non = "school"\nuser = 3\nat = "1d"\nstate = "dormant"\n[[site]]',
            "expect[1].user: there is no user 3 of macs with a channel: they have 2",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_fleet_is_told(former: str, latter: str, words: str) -> None:
    assert former in FLEET
    assert words in fault(FLEET.replace(former, latter, 1))


def test_all_faults_are_told_at_once_in_the_order_of_their_lines() -> None:
    text = 'x = 1\n[scenario]\ndays = 10\n[[cohort]]\nname = "a"\nplatform = "?"\n'
    told = faults(text + '[[event]]\ndo = "?"\non = "a"\nat = "1d"\n')

    assert [line.split(":")[1] for line in told] == ["1", "6", "8"]


def test_what_is_no_toml_names_its_line() -> None:
    assert faults("[scenario]\ndays = = 3\n")[0].startswith("x.toml:2: not TOML: invalid value")
    assert faults("[scenario]\ndays = [")[0].startswith("x.toml:2: not TOML: ")
    assert faults("")[1] == "x.toml:1: scenario: days is missing"


def test_files_are_bounded_and_text(tmp_path: Path) -> None:
    file = tmp_path / "big.toml"
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(BadScenario, match="is longer than"):
        read_scenario(file)
    file.write_bytes(b"# fine\n\xff")
    with pytest.raises(BadScenario, match=r"big\.toml:2: the file is not UTF-8"):
        read_scenario(file)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 3000 * 86400))
def test_durations_are_read_as_they_are_written(seconds: int) -> None:
    assert read_duration(write_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


TOML_VALUES = st.sampled_from(
    ("1", "-1", "1.5", "nan", "true", '""', '"x"', '"1d"', '"macs"', "[]", "[1]", "{}", "2026-01-06", "07:00:00")
)
KEYS = ("do", "on", "at", "for", "between", "every", "times", "share", "name", "platform", "count", "state", "within")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ("scenario", "[event]", "[cohort]", "[site]", "[schedule]", "[expect]", "policy", "server")
            ),
            st.dictionaries(st.sampled_from(KEYS), TOML_VALUES, max_size=5),
        ),
        max_size=5,
        unique_by=lambda one: one[0],
    )
)
def test_whatever_is_written_is_read_or_refused_with_words(tables: list[tuple[str, dict[str, str]]]) -> None:
    text = "".join(f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) for name, keys in tables)

    with pytest.raises(BadScenario) as caught:
        parse_scenario(text + "[nonsense]\n")

    assert all(fault.words and fault.line >= 1 for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[policy]\ntolerance = "30d"', 1, "policy: silence_limit is shorter than tolerance"),
        ('[policy]\ntolerance = "1m"', 2, "policy.tolerance: it is a time from 1 hour to 365 days"),
        ('[policy]\nagent = "no name"', 2, "policy.agent: it is the name of a witness"),
        ('[policy]\nremedies = ["push", "pray"]', 2, "policy.remedies: it is all, none, or any of"),
        ("[server]\nidentity_lifetime_days = 0", 2, "server.identity_lifetime_days: input should be greater than"),
        ('[[event]]\ndo = "stop_ddm"\non = "phones"\nat = "1d"', 3, "stop_ddm befalls devices with ddm = true"),
        ('[[event]]\ndo = "unassign"\non = "school"\nat = "1d"', 3, 'devices that came by way = "setup_assistant"'),
        (
            '[[event]]\ndo = "restart"\non = "everybody"\nat = "0d"\nevery = "0s"',
            5,
            "event[1].every: is at least a minute",
        ),
    ],
)
def test_what_could_not_be_played_is_a_fault_at_its_line(text: str, line: int, words: str) -> None:
    (said,) = faults(f"{FLEET}\n{text}\n")

    assert said.startswith(f"x.toml:{FLEET.count(chr(10)) + 1 + line}: ")
    assert words in said


def test_events_that_come_too_often_are_a_fault() -> None:
    text = FLEET.replace("days = 60", "days = 1000")
    text += '[[event]]\ndo = "restart"\non = "everybody"\nat = "0d"\nevery = "1m"\n'

    assert "more than 1000000 that happen" in faults(text)[0]


@pytest.mark.parametrize("start", ["1999-12-31", "2101-01-01", "9999-12-31T23:59:59Z", "0001-01-01"])
def test_scenario_begins_in_years_that_certificates_can_have(start: str) -> None:
    assert (
        fault(FLEET.replace("days = 60", f"days = 60\nstart = {start}"))
        == "scenario.start: is in the years 2000 to 2100"
    )


@pytest.mark.parametrize(("text", "hours"), [("1.5d", 36), ("0.5h", 0.5), ("1w 0.25d", 174)])
def test_durations_may_have_decimals(text: str, hours: float) -> None:
    assert read_duration(text) == timedelta(hours=hours)


def test_cohort_may_never_enroll_by_itself() -> None:
    scenario = parse_scenario(f'{FLEET}\n[[cohort]]\nname = "late"\nplatform = "iPhone"\nenrolls = "never"\n')

    assert scenario.cohorts["late"].enrolls is None


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("", "event[1].command: Queries is missing"),
        ("\nkeys = { Queries = 5 }", "event[1].keys: Queries"),
    ],
)
def test_command_that_the_server_would_not_take_is_a_fault(keys: str, words: str) -> None:
    text = f'do = "send"\non = "macs"\nat = "1d"\ncommand = "DeviceInformation"{keys}'

    assert words in fault(with_event(text))
