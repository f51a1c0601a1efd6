"""Many idle sandboxes: what they cost the supervisor and the kernel, what sampling them costs, how they are stopped."""
import glob
import os
import signal
import time

from figures import Failure
from fleet import LONG, Fleet, service, when_usec
from host import read
from live import is_asleep

COUNT, QUICK_COUNT = 1000, 10
KERNEL_KEYS = ("Slab", "KernelStack", "PageTables", "Percpu")


def pss_kib(pid):
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise Failure(f"process {pid}: no smaps_rollup")


def kernel_kib():
    found = {line.split(":")[0]: int(line.split()[1]) for line in read("/proc/meminfo").splitlines()}
    return {key: found[key] for key in KERNEL_KEYS}


def cpu_nsec(pid):
    """CPU time of every thread of a process."""
    return sum(int(read(path, "0").split()[0]) for path in glob.glob(f"/proc/{pid}/task/*/schedstat"))


def cpu_percent(pid, seconds):
    """Of one core, over the next seconds. It takes that time: the rate of something that goes on is what is measured."""
    before, began = cpu_nsec(pid), time.monotonic_ns()
    time.sleep(seconds)
    return (cpu_nsec(pid) - before) / (time.monotonic_ns() - began) * 100


def bring_up(host, name, count, interval):
    fleet = Fleet(host, name, {"a": service(host, ["/bin/busybox", "sleep", LONG], scale=count)}, interval=interval, live=True)
    last = fleet.until_started(count)
    starts = fleet.events("start")
    if not all(is_asleep(record["pid"]) for record in starts):
        raise Failure("not every sleeper sleeps")
    first = min(when_usec(record) - record["took_usec"] for record in starts)
    return fleet, (when_usec(last) - first) / 1e6


def measure_idle(host, options, say):
    """The supervisor of one sandbox against that of many: what the others add."""
    count, seconds = (QUICK_COUNT, 1) if options.quick else (COUNT, 10)
    fleet, _ = bring_up(host, "idle", 1, "1h")
    one = pss_kib(fleet.process.pid)
    fleet.stop()
    host.wait_for_namespaces()
    kernel_before = kernel_kib()
    fleet, up_seconds = bring_up(host, "idle", count, "1h")
    many = pss_kib(fleet.process.pid)
    kernel_after = kernel_kib()
    percent = cpu_percent(fleet.process.pid, seconds)
    fds = len(os.listdir(f"/proc/{fleet.process.pid}/fd"))
    fleet.stop()
    return {"count": count, "supervisor_pss_kib": (many - one) / (count - 1), "supervisor_of_one_pss_kib": one,
            "kernel_kib": {key: (kernel_after[key] - kernel_before[key]) / count for key in KERNEL_KEYS},
            "idle_percent": percent, "descriptors": fds, "up_seconds": up_seconds}


def measure_crowd(host, options, say):
    count, seconds = (QUICK_COUNT, 2) if options.quick else (COUNT, 10)
    fleet, up_seconds = bring_up(host, "crowd", count, "1s")
    up_stall = fleet.stall_usec()
    fleet.until(lambda record: record["type"] == "supervisor")
    percent = cpu_percent(fleet.process.pid, seconds)
    mark = len(fleet.records)
    asked = time.time_ns() / 1000
    fleet.process.send_signal(signal.SIGINT)
    fleet.wait()
    host.wait_for_namespaces()
    clean = time.time_ns() / 1000
    after = [record for record in fleet.records[mark:] if record["type"] == "event" and when_usec(record) >= asked]
    deaths = [record for record in after if record["event"] == "die"]
    if len(deaths) != count:
        raise Failure(f"{len(deaths)} of {count} were stopped")
    rounds = [record for record in fleet.records if record["type"] == "container"]
    if len(rounds) < count:
        raise Failure("no round of samples came")
    return {"count": count, "up_seconds": up_seconds, "up_stall_usec": up_stall, "sampling_percent": percent,
            "sampled_members": sorted(key for key in rounds[0] if isinstance(rounds[0][key], dict)),
            "stop_usec_each": (max(map(when_usec, after)) - asked) / count,
            "die_usec_each": (max(map(when_usec, deaths)) - asked) / count,
            "clean_usec_each": (clean - asked) / count, "stall_usec": fleet.stall_usec()}
