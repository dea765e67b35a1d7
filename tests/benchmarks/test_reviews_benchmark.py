"""The benchmark of reviews does what it says; how fast anything is, no test asserts."""

from benchmarks.reviews import PASSES, measure


def test_every_channel_is_reviewed_in_each_pass() -> None:
    measured = measure(250, ["sqlite"])

    assert [(one.what, one.count) for one in measured] == [(what, 250) for what, _ in PASSES]
