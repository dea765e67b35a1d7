"""Scenarios that several tests read."""

FLEET = """
[scenario]
days = 60

[[site]]
name = "school"
address = "203.0.113.1"

[[site]]
name = "cafe"
address = ["203.0.113.2", "2001:db8::2"]

[[schedule]]
name = "office"
nights = "18:00-08:00"
weekends = true
holidays = [2026-01-06]
breaks = [[2026-02-02, 2026-02-13]]

[[cohort]]
name = "macs"
platform = "Mac"
count = 5
site = "school"
schedule = "office"
users = 2
ddm = true

[[cohort]]
name = "ipads"
platform = "iPad"
way = "setup_assistant"

[[cohort]]
name = "phones"
platform = "iPhone"
count = 5
own_connects = ["6h", "12h"]

[[cohort]]
name = "own"
platform = "iPhone"
way = "account"

[[cohort]]
name = "carts"
platform = "SharediPad"
users = 3
"""


def with_event(text: str) -> str:
    """FLEET and one event."""
    return f"{FLEET}\n[[event]]\n{text}\n"
