"""x-shoal.limits: who reaches one is ended at once and as a whole, and its certificate says by which."""
import os

import pytest

import shoal

HEAD = "name: demo\nx-shoal: {degrade: true}\nservices:\n"
LATE_USEC = 50000 * shoal.SCALE  # after the deadline it is over within that
SPIN = "while :; do :; done"


def service(script, limits, extra=""):
    quoted = script.replace("'", "''").replace("$", "$$")
    return (f"{HEAD}  a:\n    image: builtin:busybox\n    network_mode: none\n    command: [sh, -c, '{quoted}']\n"
            f"    x-shoal: {{limits: {{{limits}}}}}\n{extra}")


def death(fleet, script, limits, extra=""):
    died = fleet(service(script, limits, extra)).wait_event("die", timeout=30)
    assert (died["exitCode"], died["signal"], died["by"]) == (137, "SIGKILL", "supervisor")
    return died


def test_wall(fleet):
    died = death(fleet, "trap : TERM; sleep 1000 & (setsid sleep 1000) & while :; do sleep 0.1; done", "wall: 700ms")
    assert died["cause"] == "timeout" and died["why"] == "ran longer than 0.7 s (x-shoal.limits.wall): killed"
    assert 700000 <= died["wall_usec"] <= 700000 + LATE_USEC


def test_cpu_of_all_processes_together(fleet):
    """Children that are gone count, and so do several at once."""
    died = death(fleet, f"i=0; while [ $i -lt 20 ]; do sh -c 'j=0; while [ $j -lt 2000 ]; do j=$((j+1)); done'; i=$((i+1)); done;"
                 f" ({SPIN}) & ({SPIN}) & wait", "cpu: 1s")
    assert died["cause"] == "cpu-time" and died["why"] == "used more CPU time than 1 s (x-shoal.limits.cpu): killed"
    assert 1000000 <= died["usage_usec"] <= 1000000 + os.cpu_count() * LATE_USEC


def test_cpu_of_one_that_sleeps_is_never_reached(fleet):
    died = death(fleet, "sleep 1000", "cpu: 300ms, wall: 1500ms")
    assert died["cause"] == "timeout"


def test_idle(fleet):
    """It works for a while, prints for a while, and then does nothing more."""
    work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done" if shoal.SCALE == 1 else "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"
    script = f"{work}; for i in 1 2 3 4 5; do sleep 0.6; echo $i; done; exec sleep 1000"
    started = fleet(service(script, "idle: 1s"))
    died = started.wait_event("die", timeout=30)
    assert died["cause"] == "idle" and "did nothing for longer than 1 s" in died["why"]
    assert died["output"] == ["1", "2", "3", "4", "5"]
    assert died["wall_usec"] >= 3000000 + 1000000
    last = started.log_records("demo-a-1")[-1]["time"]
    assert last < died["time"]


def test_idle_without_a_log(fleet):
    """What it prints has to be seen for that, whether it is kept or not."""
    script = "for i in 1 2 3 4; do sleep 0.6; echo $i; done; exec sleep 1000"
    died = death(fleet, script, "idle: 1s", "    logging: {driver: none}\n")
    assert died["cause"] == "idle" and died["wall_usec"] >= 3400000


def test_ttl_goes_over_restarts(fleet):
    extra = "    restart: always\n"
    text = service("sleep 0.3; exit 1", "ttl: 2s", extra).replace("limits:", "restart: {backoff: 50ms, factor: 1, jitter: 0}, limits:")
    started = fleet(text)
    deaths = started.wait(timeout=60).events("die")
    assert len(deaths) >= 2 and {d["restart"] for d in deaths[:-1]} == {"backoff"}
    last = deaths[-1]
    assert last["restart"] == "no" and "ttl" in last["restart_reason"]
    assert last["cause"] in ("ttl", "exit")  # the latter when the rest was too short for one more start


def test_ttl_ends_a_run_for_good(fleet):
    died = death(fleet, "exec sleep 1000", "ttl: 500ms", "    restart: always\n")
    assert (died["cause"], died["restart"]) == ("ttl", "no")
    assert 500000 <= died["wall_usec"] <= 500000 + LATE_USEC


def test_after_a_limit_the_restart_policy_goes_on(fleet):
    text = service("exec sleep 1000", "wall: 200ms", "    restart: on-failure:2\n")
    deaths = fleet(text).wait(timeout=60).events("die")
    assert [(d["cause"], d["restart"]) for d in deaths] == [("timeout", "backoff"), ("timeout", "backoff"), ("timeout", "no")]


@pytest.mark.parametrize("driver", ["json-file", "none"])
def test_output(fleet, driver):
    died = death(fleet, "while :; do echo 0123456789; done", "output: 100k", f"    logging: {{driver: {driver}}}\n")
    assert died["cause"] == "output" and "printed more than 102400 bytes" in died["why"]


def test_frozen_time_does_not_count(fleet):
    started = fleet(service("exec sleep 1000", "wall: 800ms, idle: 60s, ttl: 60s, cpu: 60s"))
    started.wait_event("start")
    path = os.path.join(started.cgroup_of("demo-a-1"), "cgroup.freeze")
    with open(path, "w") as out:
        out.write("1")
    started.wait_event("pause")
    gone = shoal.time.monotonic() + 1.5
    shoal.wait_for(lambda: shoal.time.monotonic() > gone, what="the time of the limit, twice")
    assert not started.events("die")
    with open(path, "w") as out:
        out.write("0")
    died = started.wait_event("die")
    assert died["cause"] == "timeout" and died["wall_usec"] > 1500000 + 500000


def test_a_fleet_that_ends_before_any_limit(fleet):
    started = fleet(service("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done", "wall: 1h, cpu: 1h, idle: 1h, ttl: 1h, output: 1g"))
    shoal.wait_for(lambda: started.log_records("demo-a-1"), what="ready")
    died = started.stop().events("die")[0]
    assert (died["cause"], died["exitCode"]) == ("stop", 3)


@pytest.mark.parametrize("limits, words", [
    ("wall: 0", ':8:24: services.a.x-shoal.limits.wall: "0" is too short; write at least 1 ms'),
    ("wall: -1s", "services.a.x-shoal.limits.wall"),
    ("idle: 500ms", '"500ms" is too short; write at least 1000 ms'),
    ("output: 0", "of 0 would end it at its first word"),
    ("cpus: 1s", "services.a.x-shoal.limits.cpus.*did you mean"),
])
def test_what_is_refused(fleet, limits, words):
    started = fleet(service("exit 0", limits))
    started.wait_message(words)
    assert started.wait().returncode == 2
