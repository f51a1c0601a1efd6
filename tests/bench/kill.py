"""From kill(2) by somebody else to the die event, one after the other; also with much unwritten data in the writable layer."""
import os
import signal
import time

from contenders import Floor, new_nonce
from figures import Failure, spread
from fleet import LONG, Fleet, service, when_usec
from host import read

DIRTY_MIB = 256
PAUSE_SECONDS = 0.01


def kill_all(fleet):
    """Kill one sandbox after the other: microseconds to the event's own time, and to when we had read it. What one death sets off
    shall not delay the next: its cgroup is gone by then, and the kernel had a moment for its namespaces."""
    to_event, to_seen = [], []
    for start in list(fleet.events("start")):
        killed = time.time_ns() / 1000
        os.kill(start["pid"], signal.SIGKILL)
        name = start["container"]
        die = fleet.until(lambda record: record.get("event") == "die" and record["container"] == name)
        if die.get("signal") != "SIGKILL":
            raise Failure(f"{name} did not die of the signal: {die}")
        to_event.append(when_usec(die) - killed)
        to_seen.append(die["seen_usec"] - killed)
        fleet.host.wait(lambda: not os.path.isdir(fleet.cgroup_of(name)), f"the removal of the cgroup of {name}")
        time.sleep(PAUSE_SECONDS)
    return to_event, to_seen


def measure(host, options, say):
    count = 5 if options.quick else 300
    fleet = Fleet(host, "kill", {"a": service(host, ["/bin/busybox", "sleep", LONG], scale=count)}, live=True)
    fleet.until_started(count)
    to_event, to_seen = kill_all(fleet)
    fleet.wait()
    floor = Floor(host, "floor", "", True).kill(count)
    return {"to_event": spread(to_event), "to_reader": spread(to_seen), "floor": spread(floor)}


def dirty_mib():
    return int(next(line for line in read("/proc/meminfo").splitlines() if line.startswith("Dirty:")).split()[1]) // 1024


def measure_dirty(host, options, say):
    mib, count = (8, 2) if options.quick else (DIRTY_MIB, 10)
    to_event, to_seen, least = [], [], None
    for number in range(count):
        nonce = new_nonce()
        script = f"dd if=/dev/zero of=/dirty bs=1M count={mib} 2>/dev/null && exec /marker {nonce}-0 /bin/busybox sleep {LONG}"
        fleet = Fleet(host, "dirty", {"a": service(host, ["/bin/sh", "-c", script])}, live=True)
        fleet.until_started(1)
        host.wait(lambda: any(line.startswith(f"{nonce}-0 ") for line in fleet.said()), "the written file")
        dirty = dirty_mib()
        least = min(least or dirty, dirty)
        event, seen = kill_all(fleet)
        to_event += event
        to_seen += seen
        fleet.wait()
        fleet.forget_logs()
    if least < mib * 0.9:
        raise Failure(f"only {least} MiB were unwritten at one of the kills: the disk was faster than the test")
    return {"to_event": spread(to_event), "to_reader": spread(to_seen), "mib": mib, "dirty_mib_at_least": least}
