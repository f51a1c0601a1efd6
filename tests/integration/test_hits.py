"""Limits that are hit, as events: which one, how often, no flood of them and the last count always."""
import datetime
import os

import pytest

import shoal

pytestmark = pytest.mark.needs_controllers
HEAD = "name: demo\nservices:\n"
CACHE = "dd if=/dev/zero of=/f bs=1M count=24 2>/dev/null; while [ ! -e /stop ]; do cat /f > /dev/null; done"


def service(script, extra, name="a"):
    quoted = script.replace("'", "''").replace("$", "$$")
    return f"  {name}:\n    image: builtin:busybox\n    network_mode: none\n    command: [sh, -c, '{quoted}']\n{extra}"


def hits(started, counter, **wanted):
    return [r for r in started.events("limit", **wanted) if r["counter"] == counter]


def wait_hits(started, counter, count, **wanted):
    shoal.wait_for(lambda: len(hits(started, counter, **wanted)) >= count, 20, lambda: f"{count} of {counter}: {started.events()[-6:]} {started.messages}")


def stop(started, container="demo-a-1"):
    # -9: its namespace has ended before the looker has
    assert started.inside(container, "touch", "/stop").returncode in (0, -9)


def check_pace(told):
    counts = [r["count"] for r in told]
    times = [datetime.datetime.fromisoformat(r["time"].replace("Z", "+00:00")).timestamp() for r in told]
    assert counts == sorted(set(counts)), counts
    # the last may come before its second is over: the run is
    assert all(after - before >= 0.99 for before, after in zip(times, times[1:-1])), times


@pytest.mark.parametrize("counter, limits", [("high", "    x-shoal: {memory_high: 16m}\n"), ("max", "    mem_limit: 16m\n")])
def test_of_a_container(fleet, counter, limits):
    """Files that are read again and again beyond the limit: it is hit all the time, and does no harm."""
    started = fleet(HEAD + service(CACHE, limits))
    wait_hits(started, counter, 3)
    stop(started)
    result = started.wait(timeout=60)
    told = [r for r in result.events("limit", container="demo-a-1") if r["counter"] == counter]
    assert {r["limit"] for r in told} == {f"memory.{counter}"} and told[-1]["count"] > told[0]["count"] + 10
    check_pace(told)
    last = [r for r in result.records if r["type"] == "container" and r["state"] == "exited"][-1]
    assert told[-1]["count"] >= last["memory"]["events"][counter] > 0
    order = [r["event"] for r in result.events(container="demo-a-1")]
    assert max(i for i, event in enumerate(order) if event == "limit") < order.index("die")
    assert not result.events("oom")


def test_of_a_group_and_of_the_project(fleet):
    head = "name: demo\nx-shoal: {budget: {mem_limit: 40m}, groups: {tenants: {mem_limit: 16m}}}\nservices:\n"
    member = "    x-shoal: {group: tenants}\n"
    started = fleet(head + service(CACHE, member) + service(CACHE, member, "b") + service(CACHE, "", "c"))
    wait_hits(started, "max", 2, group="tenants")
    wait_hits(started, "max", 2, group="/")
    for name in "abc":
        stop(started, f"demo-{name}-1")
    result = started.wait(timeout=60)
    for group in ("tenants", "/"):
        told = [r for r in result.events("limit") if r["group"] == group]
        assert not any("container" in r for r in told)
        check_pace([r for r in told if r["counter"] == "max"])
    # None of theirs: the limit is the group's.
    assert not [r for r in result.events("limit") if "container" in r]


def test_what_was_reserved_is_taken(fleet):
    head = "name: demo\nx-shoal: {groups: {tenants: {mem_limit: 24m}}}\nservices:\n"
    member = "    mem_reservation: 20m\n    x-shoal: {group: tenants}\n"
    started = fleet(head + service(CACHE, member) + service(CACHE, member, "b"))
    wait_hits(started, "low", 1, limit="memory.low")
    assert all("container" in r for r in hits(started, "low"))
    started.stop(timeout=60)


def test_of_tasks_is_no_flood(fleet):
    script = "sleep 1000 & sleep 1000 & sleep 1000 & while [ ! -e /stop ]; do (sleep 1 & sleep 1) 2>/dev/null; done"
    started = fleet(HEAD + service(script, "    pids_limit: 5\n"))
    wait_hits(started, "max", 3)
    stop(started)
    result = started.wait(timeout=60)
    told = result.events("limit", limit="pids.max")
    check_pace(told)
    died = result.events("die")[0]
    assert told[-1]["count"] == died["pids_refused"]


def test_memory_without_anybody_to_kill(fleet):
    """The kernel may kill none of them: a sandbox that would hang without a word."""
    script = "mkfifo /go; echo ready; read x < /go; x=a; while :; do x=$x$x; done"
    started = fleet(HEAD + service(script, "    mem_limit: 16m\n    memswap_limit: 16m\n"))
    shoal.wait_for(lambda: started.log_records("demo-a-1"), what="ready")
    with open(f"/proc/{started.pid_of('demo-a-1')}/oom_score_adj", "w") as out:
        out.write("-1000")
    with open(f"/proc/{started.pid_of('demo-a-1')}/root/go", "w") as out:
        out.write("go\n")
    wait_hits(started, "oom", 1, container="demo-a-1")
    assert hits(started, "oom")[0]["limit"] == "memory.max"
    assert not started.events("oom") and not started.events("die")
    started.stop(timeout=60)


def test_a_kill_is_no_limit_without_one(fleet):
    result = fleet(HEAD + service("x=a; while :; do x=$x$x; done", "    mem_limit: 16m\n    memswap_limit: 16m\n")).wait(timeout=60)
    assert result.events("oom") and result.events("die")[0]["cause"] == "oom"
    assert {r["counter"] for r in result.events("limit")} == {"max"}


def test_of_a_queue_that_overflows(fleet):
    """Of more notices than inotify keeps, the files are read anew."""
    path = "/proc/sys/fs/inotify/max_queued_events"
    with open(path) as text:
        before = text.read()
    names = [f"demo-a-{n}" for n in range(1, 5)]
    try:
        with open(path, "w") as out:
            out.write("1")
        started = fleet(HEAD + service("mkfifo /go; echo ready; read x < /go; " + CACHE + "; touch /rest; sleep 1000", "    mem_limit: 16m\n    scale: 4\n"))
        for name in names:
            shoal.wait_for(lambda name=name: started.log_records(name), what="ready")
        os.kill(started.process.pid, 19)  # SIGSTOP: it reads nothing meanwhile
        try:
            for name in names:
                with open(f"/proc/{started.pid_of(name)}/root/go", "w") as out:
                    out.write("go\n")
            for name in names:
                events = os.path.join(started.cgroup_of(name), "memory.events")
                shoal.wait_for(lambda events=events: "max 0" not in open(events).read(), 60, "a hit")
                stop(started, name)
                rest = f"/proc/{started.pid_of(name)}/root/rest"
                shoal.wait_for(lambda rest=rest: os.path.exists(rest), 60, "its rest")
        finally:
            os.kill(started.process.pid, 18)
        for name in names:
            wait_hits(started, "max", 1, container=name)
        started.stop(timeout=60)
    finally:
        with open(path, "w") as out:
            out.write(before)
