"""x-shoal.pressure: what is told, and done, when tasks wait too long. Windows of two seconds are those that a process without
CAP_SYS_RESOURCE gets; the guest's kernel takes all."""
import os

import pytest

import shoal

HEAD = "name: demo\nx-shoal: {degrade: true%s}\nservices:\n"
pytestmark = pytest.mark.skipif(not os.path.exists("/proc/pressure/cpu"), reason="this kernel tells no pressure (PSI)")
needs_controllers = pytest.mark.needs_controllers
HOGS = "; ".join(["(while :; do :; done) &"] * (2 * os.cpu_count() + 1)).replace("&;", "&") + " wait"


def service(script, rules, name="a", extra=""):
    quoted = script.replace("'", "''").replace("$", "$$")
    return (f"  {name}:\n    image: builtin:busybox\n    network_mode: none\n    command: [sh, -c, '{quoted}']\n"
            f"    x-shoal: {{pressure: [{rules}]}}\n{extra}")


def calm(name="calm", count=1):
    return f"  {name}: {{image: 'builtin:busybox', network_mode: none, command: [sleep, '1000'], scale: {count}}}\n"


def psimon():
    """Threads of the kernel that watch triggers."""
    found = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as comm:
                found += comm.read().startswith("psimon")
        except OSError:
            pass
    return found


def stall(started, timeout=30, **wanted):
    return started.wait_record("event", timeout=timeout, event="pressure", check=lambda r: "stall_usec" in r, **wanted)


def test_an_event_names_the_container(fleet):
    started = fleet(HEAD % "" + service(HOGS, "{on: cpu, some: 150ms, within: 2s}") + calm())
    told = stall(started, container="demo-a-1")
    assert (told["resource"], told["scope"], told["share"], told["stall_usec"], told["within_usec"], told["do"]) == \
        ("cpu", "container", "some", 150000, 2000000, "event")
    assert not started.events("pressure", container="demo-calm-1")
    assert not started.events("die")
    started.stop()


def test_of_the_fleet_and_of_the_host(fleet):
    rules = ", pressure: [{on: cpu, some: 150ms}, {of: host, on: cpu, some: 100ms, within: 2s}]"
    hogs = f"  a:\n    image: builtin:busybox\n    network_mode: none\n    command: [sh, -c, '{HOGS}']\n"
    started = fleet(HEAD % rules + hogs)
    assert "container" not in stall(started, scope="fleet") and "container" not in stall(started, scope="host")
    started.stop()


def test_kill(fleet):
    started = fleet(HEAD % "" + service(HOGS, "{on: cpu, some: 150ms, do: kill}"))
    died = started.wait().events("die")[0]
    assert (died["cause"], died["signal"], died["by"], died["restart"]) == ("pressure", "SIGKILL", "supervisor", "no")
    assert died["why"] == "waited too long for cpu (x-shoal.pressure): killed"


def test_restart(fleet):
    started = fleet(HEAD % "" + service(HOGS, "{on: cpu, some: 150ms, do: restart}"))
    started.wait_event("restart", container="demo-a-1", timeout=30)
    order = [r["event"] for r in started.events(container="demo-a-1")]
    assert order.index("pressure") < order.index("die") < order.index("restart")
    assert started.events("die")[0]["restart"] == "request"
    started.stop()


def test_freeze_and_thaw(fleet):
    started = fleet(HEAD % "" + service(HOGS, "{on: cpu, some: 150ms, do: freeze}"))
    started.wait_event("pause", container="demo-a-1", timeout=30)
    started.wait_event("unpause", container="demo-a-1", timeout=30)
    started.wait_event("pause", container="demo-a-1", timeout=30, count=2)  # it waits again, and is frozen again
    started.stop()


def test_a_frozen_one_is_stopped(fleet):
    started = fleet(HEAD % "" + service(HOGS, "{on: cpu, some: 150ms, do: freeze}"))
    started.wait_event("pause", container="demo-a-1", timeout=30)
    assert started.stop().returncode == 0


@needs_controllers
def test_shrink(fleet):
    """Page cache that nobody needs, and a working set that is read again and again beyond the limit."""
    script = "dd if=/dev/zero of=/f bs=1M count=40 2>/dev/null; while :; do cat /f > /dev/null; done"
    rules = "{on: memory, some: 1ms, within: 2s, do: shrink}"
    started = fleet(HEAD % "" + service(script, rules, extra="    mem_limit: 24m\n"))
    assert stall(started, container="demo-a-1", timeout=60)["do"] == "shrink"
    assert not [m for m in started.messages if "reclaimed" in m]
    started.stop(timeout=60)


@needs_controllers
def test_within_one_window(fleet):
    started = fleet(HEAD % "" + service(f"mkfifo /go; echo ready; read x < /go; {HOGS}", "{on: cpu, some: 100ms, within: 1s}"))
    shoal.wait_for(lambda: started.log_records("demo-a-1"), what="ready")
    path = os.path.join(started.cgroup_of("demo-a-1"), "cpu.pressure")

    def stalled():
        with open(path) as text:
            return int(text.readline().rpartition("total=")[2])
    before = stalled()
    started.inside("demo-a-1", "sh", "-c", "echo > /go")
    shoal.wait_for(lambda: stalled() - before > 100000, what="the stall itself")
    stall(started, timeout=1, container="demo-a-1")
    started.stop()


def test_nothing_by_default(fleet):
    """No thread of the kernel, no descriptor; and what a rule has cost is given back."""
    before = psimon()
    started = fleet(HEAD % "" + calm(count=5), "--interval", "200ms")
    started.wait_event("start", count=5)
    started.wait_record("container")
    assert psimon() == before
    held = [os.readlink(f"/proc/{started.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{started.process.pid}/fd")]
    assert not [path for path in held if path.endswith(".pressure")]
    started.stop()


@needs_controllers
def test_a_thread_for_each_while_it_runs(fleet):
    before = psimon()
    rules = "{on: cpu, some: 150ms, within: 1s}, {on: memory, full: 150ms, within: 1s}"
    started = fleet(HEAD % "" + service("exec sleep 1000", rules))
    started.wait_event("start")
    shoal.wait_for(lambda: psimon() > before, what="a psimon thread")
    started.stop()
    shoal.wait_for(lambda: psimon() == before, what="its end")


def test_lives_and_deaths_with_rules(fleet):
    """Triggers go before their cgroup does, also when a start fails in between."""
    rules = "{on: cpu, some: 150ms}, {on: memory, some: 150ms}, {on: io, full: 150ms}"
    text = HEAD % "" + service("exit 1", rules, extra="    restart: on-failure:20\n").replace("pressure:", "restart: {backoff: 1ms, factor: 1}, pressure:")
    result = fleet(text).wait(timeout=60)
    assert len(result.events("die")) == 21 and not result.messages[1:] or all("warning" in m for m in result.messages)


@pytest.mark.skipif(not os.path.exists(shoal.FAULTS_BIN), reason="no test build: make faults")
def test_a_trigger_that_fails(fleet):
    started = fleet(HEAD % "" + service("exit 0", "{on: cpu, some: 150ms}"), program=shoal.FAULTS_BIN,
                    environ={"SHOAL_FAULT": "stage:pressure"})
    died = started.wait().events("die")[0]
    assert died["error"] == "demo-a-1: cgroup: injected: Input/output error"


@pytest.mark.parametrize("rules, words", [
    ("{on: cpu, some: 150ms, within: 499ms}", 'within: "499ms" is out of range; it goes from 500 ms to 10000 ms'),
    ("{on: cpu, some: 150ms, within: 11s}", 'within: "11s" is out of range'),
    ("{on: cpu, some: 3s}", "nobody waits for 3000 ms within 2000 ms"),
    ("{on: cpu}", "needs one of some and full"),
    ("{on: cpu, some: 1ms, full: 1ms}", "needs one of some and full"),
    ("{some: 1ms}", "needs on: cpu, memory or io"),
    ("{on: disk, some: 1ms}", '"disk" is not known; write cpu, memory or io'),
    ("{on: cpu, some: 1ms, do: shrink}", "shrink helps against a lack of memory alone"),
    ("{on: cpu, some: 1ms, do: nothing}", '"nothing" is not known; write event, freeze, restart, kill or shrink'),
    ("{on: cpu, some: 1ms, of: host}", "of: is for rules of the file"),
])
def test_what_is_refused(fleet, rules, words):
    started = fleet(HEAD % "" + service("exit 0", rules))
    assert words in started.wait_message(r"compose.yaml:8:\d+: services.a.x-shoal.pressure.*").group(0)
    assert started.wait().returncode == 2


def test_the_fleet_is_not_frozen(fleet):
    started = fleet(HEAD % ", pressure: [{on: cpu, some: 1ms, do: freeze}]" + calm())
    started.wait_message("of the fleet it is event or shrink; the others are for rules of services")
    assert started.wait().returncode == 2
