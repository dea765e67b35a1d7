"""Equal files and seeds give equal output, byte for byte, in whatever process."""

import os
import subprocess
import sys
from pathlib import Path

SCENARIO = """
[scenario]
days = 0.5
seed = 5
[server]
inventory_hours = 4
[[site]]
name = "school"
address = ["203.0.113.1", "203.0.113.2"]
[[schedule]]
name = "cart"
hours_used = 5
jitter = "30m"
[[cohort]]
name = "macs"
platform = "Mac"
count = 3
site = "school"
ddm = true
own_connects = ["1h", "3h"]
enrolls = ["0s", "1h"]
[[cohort]]
name = "carts"
platform = "SharediPad"
schedule = "cart"
users = 2
[[event]]
do = "lose_requests"
on = "school"
between = ["2h", "4h"]
for = ["1h", "2h"]
lost = 0.4
[[event]]
do = "not_now"
on = "macs"
share = 0.5
between = ["1h", "8h"]
share_of_commands = 0.5
[[event]]
do = "errors"
on = "server"
at = "5h"
for = "2h"
answered_500 = 0.3
[[event]]
do = "sees"
on = "everybody"
at = "0d"
again = "2h"
[[event]]
do = "database_rolled_back"
on = "server"
at = "9h"
age = "1h"
"""


def test_two_processes_tell_the_same(tmp_path: Path) -> None:
    file = tmp_path / "scenario.toml"
    file.write_text(SCENARIO)
    command = [sys.executable, "-m", "muster.cli", "lab", "run", str(file), "--json"]
    ran = [
        subprocess.run(command, capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        for seed in ("1", "2")
    ]

    assert ran[0].stdout.startswith(b"{")
    assert ran[0].stdout == ran[1].stdout
