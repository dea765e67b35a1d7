"""Load by wrk: requests prepared as whole texts, sent over connections that are kept."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# wrk asks `request` for the next one and sends it as it is. Requests are read from a file, each after a line with its
# length, since Lua has no literal that takes any bytes.
_SCRIPT = """\
local requests, number = {{}}, 0

local function read_requests()
  local file = assert(io.open({path}, "rb"))
  while true do
    local length = file:read("*n")
    if length == nil then break end
    file:read(1)
    requests[#requests + 1] = file:read(length)
  end
  file:close()
end

function init(args)
  read_requests()
end

function request()
  number = number + 1
  if number > #requests then
    number = {once} + 1
  end
  return requests[number]
end

function done(summary, latency, requests)
  io.write(string.format(
    '\\n{{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "refused": %d, "broken": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


class LoadFailedError(Exception):
    """The load could not be made, or the server did not answer every request with success."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script for wrk, which plays prepared requests."""

    path: Path


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What wrk saw. Latencies are those of whole requests, corrected by wrk for the requests it could not send."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.seconds


def write_script(directory: Path, name: str, once: Sequence[bytes], looped: Sequence[bytes]) -> Script:
    """Write the script that plays the requests *once* in order, and then *looped* over and over."""
    played = directory / f"{name}.requests"
    with played.open("wb") as file:
        for request in (*once, *looped):
            file.write(b"%d\n%b" % (len(request), request))
    script = directory / f"{name}.lua"
    path = json.dumps(str(played))  # a JSON string is a Lua string, as long as it is plain
    script.write_text(_SCRIPT.format(path=path, once=len(once)))
    return Script(script)


def run_load(script: Script, url: str, *, connections: int, seconds: int) -> LoadResult:
    """Play *script* against *url*. Raises LoadFailedError when wrk is missing or any request was not answered 2xx."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise LoadFailedError("wrk is not installed (Debian: apt-get install wrk; macOS: brew install wrk)")
    arguments = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script.path), url]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LoadFailedError(f"wrk failed: {done.stderr or done.stdout}")
    return read_result(done.stdout)


def read_result(output: str) -> LoadResult:
    """Read what `done` of the script wrote. Raises LoadFailedError when requests were refused or lost."""
    said = json.loads(output.strip().rpartition("\n")[2])
    if said["refused"] or said["broken"] or not said["requests"]:
        raise LoadFailedError(f"of {said['requests']} requests {said['refused']} were refused, {said['broken']} lost")
    return LoadResult(said["requests"], said["microseconds"] / 1e6, said["p50"] / 1000, said["p99"] / 1000)
