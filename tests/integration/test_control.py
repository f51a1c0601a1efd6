"""Requests of the library's caller, through the program control.c: what each does in every state, and what is told."""
import os
import signal
import subprocess
import time

import pytest

import shoal
from shoal import wait_for

CONTROL = os.path.join(os.path.dirname(shoal.BIN), "tests", "control")
HEAD = "name: demo\nx-shoal: {degrade: true, pool: 0}\nservices:\n"
HEARS = "trap \"exit 7\" TERM; trap \"echo hup\" HUP; touch /tmp/ready; while :; do sleep 0.01; done"
DEAF = "trap : TERM; touch /tmp/ready; while :; do sleep 0.01; done"


def service(name, script=HEARS, extra=""):
    quoted = script.replace("'", "''").replace("$", "$$")
    return (f"  {name}:\n    image: builtin:busybox\n    network_mode: none\n    tmpfs: [/tmp]\n    stop_grace_period: 30s\n"
            f"    command: [sh, -c, '{quoted}']\n{extra}")


class Controlled:
    """A fleet below the program control, and requests to it."""

    def __init__(self, fleet, text):
        self.fleet = fleet(HEAD + text, program=CONTROL, stdin=subprocess.PIPE)
        self.number = 0

    def send(self, action, name, kind="container", number=0, grace_ms=-1):
        self.number += 1
        self.fleet.process.stdin.write(f"{self.number} {action} {kind} {name} {int(number)} {grace_ms}\n")
        self.fleet.process.stdin.flush()
        return self.number

    def answer(self, number):
        return self.fleet.wait_record("answer", number=number)

    def ask(self, *arguments, **keywords):
        """Its outcome: the word for one container, or the whole record."""
        answer = self.answer(self.send(*arguments, **keywords))
        words = [word for word in ("done", "unchanged", "refused", "failed") if answer.get(word)]
        return words[0] if answer.get("count") == 1 else answer

    def ready(self, container="demo-a-1", since=0):
        self.fleet.wait_event("start", container=container, since=since)
        wait_for(lambda: self.fleet.inside(container, "test", "-e", "/tmp/ready").returncode == 0, what=f"{container} to be ready")

    def order(self, container="demo-a-1", since=0):
        return [r["event"] for r in self.fleet.events(container=container, since=since)
                if r["event"] not in ("connect", "disconnect")]


@pytest.fixture
def controlled(fleet):
    return lambda text: Controlled(fleet, text)


def test_pause_and_unpause(controlled):
    it = controlled(service("a"))
    it.ready()
    assert it.ask("pause", "demo-a-1") == "done"
    assert it.fleet.wait_record("container", since=it.fleet.mark())["state"] == "paused"
    with open(it.fleet.cgroup_of("demo-a-1") + "/cgroup.events") as events:
        assert "frozen 1" in events.read()
    assert it.ask("pause", "demo-a-1") == "unchanged"
    start = it.answer(it.send("start", "demo-a-1"))
    assert start["refused"] == 1 and start["error"] == "demo-a-1: start: it is paused"
    assert it.ask("unpause", "demo-a-1") == "done"
    refused = it.answer(it.send("unpause", "demo-a-1"))
    assert refused["refused"] == 1 and refused["error"] == "demo-a-1: unpause: it is running"
    it.fleet.stop()
    assert it.order() == ["create", "start", "pause", "unpause", "kill", "die", "stop", "destroy"]


def test_pause_and_unpause_in_one_breath(controlled):
    """Whatever the kernel is quick enough to say in between: in the end it runs, and both are answered."""
    it = controlled(service("a"))
    it.ready()
    for _ in range(20):
        pause, unpause = it.send("pause", "demo-a-1"), it.send("unpause", "demo-a-1")
        paused, unpaused = it.answer(pause), it.answer(unpause)
        assert paused["done"] + paused["failed"] == 1 and unpaused["done"] == 1
        if paused["failed"]:
            assert paused["error"] == "demo-a-1: pause: overtaken by unpause"
    assert it.fleet.wait_record("container", since=it.fleet.mark())["state"] == "running"
    it.fleet.stop()


def test_stop_start_and_restart(controlled):
    it = controlled(service("a", extra="    restart: always\n"))
    it.ready()
    created = it.fleet.events("create")[0]
    assert it.ask("stop", "demo-a-1") == "done"
    died = it.fleet.events("die")[0]
    assert (died["exitCode"], died["cause"], died["restart"]) == (7, "stop", "no")
    assert it.fleet.wait_record("container", since=it.fleet.mark())["state"] == "exited"
    assert it.ask("stop", "demo-a-1") == "unchanged"
    assert it.ask("pause", "demo-a-1") == "refused"
    assert it.ask("unpause", "demo-a-1") == "refused"
    assert it.ask("kill", "demo-a-1") == "refused"
    assert it.ask("start", "demo-a-1") == "done"
    assert it.ask("start", "demo-a-1") == "unchanged"
    mark = it.fleet.mark()
    assert it.ask("restart", created["id"]) == "done"
    died = it.fleet.events("die", since=mark)[0]
    assert (died["cause"], died["restart"]) == ("stop", "request")
    it.fleet.stop()
    assert it.order() == ["create", "start", "kill", "die", "stop", "start", "kill", "die", "stop", "start", "restart", "kill",
                          "die", "stop", "destroy"]
    assert {event["id"] for event in it.fleet.events(container="demo-a-1")} == {created["id"]}


def test_a_restart_keeps_the_address(controlled):
    it = controlled(service("a").replace("    network_mode: none\n", ""))
    it.ready()
    connected = it.fleet.wait_event("connect")
    address = it.fleet.inside("demo-a-1", "ip", "-4", "-o", "addr", "show", "eth0").stdout.split()[3].split("/")[0]
    mark = it.fleet.mark()
    assert it.ask("restart", "demo-a-1") == "done"
    it.ready(since=mark)
    again = it.fleet.inside("demo-a-1", "ip", "-4", "-o", "addr", "show", "eth0").stdout.split()[3].split("/")[0]
    assert again == address
    it.fleet.stop()
    assert len(it.fleet.events("connect")) == 1 and connected["address"]


@pytest.mark.parametrize("policy", ["'no'", "always", "unless-stopped", "on-failure"])
def test_what_is_stopped_or_killed_stays_so(controlled, policy):
    it = controlled(service("a", extra=f"    restart: {policy}\n") + service("b", extra=f"    restart: {policy}\n"))
    it.ready()
    it.ready("demo-b-1")
    assert it.ask("stop", "demo-a-1") == "done"
    assert it.ask("kill", "demo-b-1") == "done"
    died = it.fleet.events("die", container="demo-b-1")[0]
    assert (died["exitCode"], died["cause"], died["restart"]) == (137, "stop", "no")
    samples = [it.fleet.wait_record("container", since=it.fleet.mark(), container=c)["state"] for c in ("demo-a-1", "demo-b-1")]
    assert samples == ["exited", "exited"]
    assert it.ask("start", "-", kind="all")["done"] == 2  # the fleet was kept up
    it.fleet.stop()
    assert it.order()[:6] == ["create", "start", "kill", "die", "stop", "start"]
    assert it.order("demo-b-1")[:5] == ["create", "start", "kill", "die", "start"]
    assert not it.fleet.events("backoff")


def test_a_stop_beyond_its_grace(controlled):
    it = controlled(service("a", DEAF))
    it.ready()
    assert it.ask("stop", "demo-a-1", grace_ms=50) == "done"
    assert it.order() == ["create", "start", "kill", "kill", "die", "stop"]
    assert [event["signal"] for event in it.fleet.events("kill")] == [signal.SIGTERM, signal.SIGKILL]
    it.fleet.stop()


def test_a_kill_ends_a_stop_under_way(controlled):
    it = controlled(service("a", DEAF))
    it.ready()
    stop = it.send("stop", "demo-a-1")
    it.fleet.wait_event("kill")
    assert it.ask("pause", "demo-a-1") == "refused"
    assert it.ask("unpause", "demo-a-1") == "refused"
    assert it.ask("kill", "demo-a-1") == "done"
    assert it.answer(stop)["done"] == 1
    assert it.order() == ["create", "start", "kill", "kill", "die", "stop"]
    it.fleet.stop()


def test_starts_and_restarts_while_it_stops(controlled):
    it = controlled(service("a", DEAF) + service("b", DEAF))
    for name in ("demo-a-1", "demo-b-1"):
        it.ready(name)
        it.send("stop", name)
        it.fleet.wait_event("kill", container=name)
    mark = it.fleet.mark()
    start, restart = it.send("start", "demo-a-1"), it.send("restart", "demo-b-1", grace_ms=0)
    it.send("stop", "demo-a-1", grace_ms=0)  # overtakes the start
    failed = it.answer(start)
    assert failed["failed"] == 1 and failed["error"] == "demo-a-1: start: overtaken by stop"
    assert it.answer(restart)["done"] == 1
    assert it.order("demo-b-1") == ["create", "start", "kill", "kill", "die", "stop", "start", "restart"]
    it.ready("demo-b-1", since=mark)
    it.fleet.send(signal.SIGTERM)
    it.fleet.wait_event("kill", container="demo-b-1", count=3)
    os.kill(it.fleet.pid_of("demo-b-1"), signal.SIGKILL)
    it.fleet.wait()


def test_other_signals(controlled):
    it = controlled(service("a", HEARS.replace("echo hup", "touch /tmp/hup")))
    it.ready()
    assert it.ask("kill", "demo-a-1", number=signal.SIGHUP) == "done"
    wait_for(lambda: it.fleet.inside("demo-a-1", "test", "-e", "/tmp/hup").returncode == 0, what="the trap of HUP")
    assert it.ask("pause", "demo-a-1") == "done"
    assert it.ask("kill", "demo-a-1", number=signal.SIGHUP) == "done"  # it takes it when it is thawed
    assert it.ask("unpause", "demo-a-1") == "done"
    assert it.ask("pause", "demo-a-1") == "done"
    assert it.ask("kill", "demo-a-1", number=signal.SIGTERM) == "done"  # its stop signal: thawed, to take it
    it.fleet.wait_event("die", exitCode=7, restart="no")
    assert it.order() == ["create", "start", "kill", "pause", "kill", "unpause", "pause", "kill", "unpause", "die"]
    it.fleet.stop()


@pytest.mark.parametrize("action, events", [("stop", ["kill", "unpause", "die", "stop"]), ("kill", ["kill", "die"]),
                                            ("restart", ["kill", "unpause", "die", "stop", "start", "restart"])])
def test_what_ends_a_paused_one(controlled, action, events):
    it = controlled(service("a"))
    it.ready()
    it.ask("pause", "demo-a-1")
    assert it.ask(action, "demo-a-1") == "done"
    assert it.order() == ["create", "start", "pause", *events]
    it.fleet.stop()


def test_in_backoff(controlled):
    slow = "    restart: always\n    x-shoal: {restart: {backoff: 1h}}\n"
    it = controlled("".join(service(name, "exit 3", slow) for name in "abcd") + service("keeps"))
    for name in "abcd":
        it.fleet.wait_event("backoff", container=f"demo-{name}-1")
        assert it.ask("pause", f"demo-{name}-1") == "refused"
        assert it.ask("unpause", f"demo-{name}-1") == "refused"
        assert it.ask("kill", f"demo-{name}-1", number=signal.SIGHUP) == "refused"
    assert it.ask("stop", "demo-a-1") == "done"
    assert it.order() == ["create", "start", "die", "backoff", "stop"]
    assert it.ask("kill", "demo-b-1") == "done"
    mark = it.fleet.mark()
    assert it.ask("start", "demo-c-1") == "done"
    assert it.order("demo-c-1", mark)[0] == "start"
    mark = it.fleet.mark()
    assert it.ask("restart", "demo-d-1") == "done"
    assert it.order("demo-d-1", mark)[:2] == ["start", "restart"]
    assert it.ask("restart", "demo-a-1") == "done"
    assert it.order()[:7] == ["create", "start", "die", "backoff", "stop", "start", "restart"]
    it.fleet.wait_event("backoff", container="demo-a-1", count=2)
    it.fleet.stop()


def test_parked(controlled):
    """Parked just before execve, waiting for a dependency or in backoff: a stop gives that up, a start is a whole one."""
    warm = "    x-shoal: {warm: 1, restart: {backoff: 1h}}\n"
    it = controlled(service("first") + service("a", extra=warm + "    depends_on: {first: {condition: service_completed_successfully}}\n") +
                    service("b", "exit 3", warm + "    restart: always\n"))
    it.ready("demo-first-1")
    it.fleet.wait_event("backoff", container="demo-b-1")
    cgroup = os.path.dirname(it.fleet.cgroup_of("demo-first-1"))
    for name in ("demo-a-1", "demo-b-1"):
        wait_for(lambda: open(f"{cgroup}/{name}/cgroup.procs").read() if os.path.exists(f"{cgroup}/{name}") else "", what=f"{name} parked")
        assert it.ask("stop", name) == "done"
        wait_for(lambda: not os.path.exists(f"{cgroup}/{name}"), what=f"{name} to be given up")
    assert it.order() == ["create"]
    assert it.order("demo-b-1") == ["create", "start", "die", "backoff", "stop"]
    assert it.ask("restart", "demo-b-1") == "done"
    mark, start = it.fleet.mark(), it.send("start", "demo-a-1")
    os.kill(it.fleet.pid_of("demo-first-1"), signal.SIGTERM)  # ends with 7: what waits for it never starts
    it.fleet.wait_event("die", container="demo-first-1")
    it.fleet.send(signal.SIGTERM)
    assert it.answer(start)["failed"] == 1
    assert it.order(since=mark) == ["destroy"]
    it.fleet.wait()


def test_waiting_for_a_dependency(controlled):
    waits = "    depends_on: {first: {condition: service_completed_successfully}}\n"
    it = controlled(service("first", HEARS.replace("exit 7", "exit 0")) + service("a", extra=waits) + service("b", extra=waits))
    it.ready("demo-first-1")
    for action in ("pause", "unpause", "kill"):
        assert it.ask(action, "demo-a-1") == "refused"
    assert it.ask("stop", "demo-a-1") == "done"
    assert it.ask("stop", "demo-a-1") == "unchanged"
    start = it.send("start", "demo-b-1")
    os.kill(it.fleet.pid_of("demo-first-1"), signal.SIGTERM)
    assert it.answer(start)["done"] == 1
    assert it.order() == ["create"]  # stopped before it ever ran: its service goes on without it
    assert it.ask("start", "demo-a-1") == "done"
    it.fleet.stop()


def test_while_it_is_started(controlled):
    """Asked in one breath with the start of a fleet: each is defined whichever stage it meets."""
    names = ("pause", "stop", "kill", "restart", "start")
    it = controlled("".join(service(name) for name in names))
    numbers = {name: it.send(name, f"demo-{name}-1") for name in names}
    answers = {name: it.answer(number) for name, number in numbers.items()}
    for name in ("pause", "stop", "restart", "start"):
        created = answers[name]["refused"] == 1 and answers[name]["error"] == f"demo-{name}-1: {name}: it is created"
        assert answers[name]["done"] == 1 or (name == "pause" and created), answers
    assert answers["kill"]["done"] + answers["kill"]["refused"] == 1
    if answers["pause"]["done"]:
        assert it.order("demo-pause-1") == ["create", "start", "pause"]
    assert it.order("demo-restart-1")[-2:] == ["start", "restart"]
    it.fleet.stop()


def hold_start(it, container):
    """Start it and freeze it in the middle, from outside: the number of the start that is under way until thaw()."""
    place = os.path.join(os.path.dirname(it.fleet.cgroup_of("demo-keeps-1")), container, "cgroup.freeze")
    for _ in range(200):
        mark, start = it.fleet.mark(), it.send("start", container)
        while True:
            try:
                with open(place, "w") as file:
                    file.write("1")
                break
            except FileNotFoundError:
                pass
        if it.fleet.wait_record("container", since=mark, container=container, frozen=1)["state"] == "starting":
            return start
        it.ask("kill", container)
    raise AssertionError(f"{container} was never met while it started")


def thaw(it, container):
    with open(os.path.join(os.path.dirname(it.fleet.cgroup_of("demo-keeps-1")), container, "cgroup.freeze"), "w") as file:
        file.write("0")


def test_in_the_middle_of_a_start(controlled):
    volumes = "    volumes:\n" + "".join(f"      - {{type: tmpfs, target: /many/{i}}}\n" for i in range(100))
    it = controlled(service("a", extra=volumes) + service("keeps"))
    it.ready()
    it.ready("demo-keeps-1")
    assert it.ask("stop", "demo-a-1") == "done"

    start = hold_start(it, "demo-a-1")
    mark, pause, hup = it.fleet.mark(), it.send("pause", "demo-a-1"), it.send("kill", "demo-a-1", number=signal.SIGWINCH)
    assert it.ask("unpause", "demo-a-1") == "done"
    assert it.answer(pause)["error"] == "demo-a-1: pause: overtaken by unpause"
    assert it.ask("unpause", "demo-a-1") == "refused"
    pause = it.send("pause", "demo-a-1")
    thaw(it, "demo-a-1")
    assert it.answer(pause)["done"] == it.answer(start)["done"] == it.answer(hup)["done"] == 1
    assert it.order(since=mark) == ["start", "kill", "pause"]
    assert it.ask("kill", "demo-a-1") == "done"

    for action, events in (("stop", ["die", "stop"]), ("kill", ["die", "stop"]),
                           ("restart", ["die", "stop", "start", "restart"])):
        start = hold_start(it, "demo-a-1")
        mark = it.fleet.mark()
        assert it.ask(action, "demo-a-1") == "done"
        assert it.order(since=mark) == events
        died = it.fleet.events("die", since=mark)[0]
        assert (died["cause"], died["restart"]) == ("stop", "request" if action == "restart" else "no")
        started = it.answer(start)
        assert started["done"] if action == "restart" else started["error"] == f"demo-a-1: start: overtaken by {action}"
        it.ask("stop", "demo-a-1")
    it.fleet.stop()


def test_services_and_all(controlled):
    it = controlled(service("a", extra="    deploy: {replicas: 5}\n") + service("b"))
    for name in [f"demo-a-{n}" for n in range(1, 6)] + ["demo-b-1"]:
        it.ready(name)
    assert it.ask("pause", "demo-a-2") == "done"
    answer = it.ask("pause", "a", kind="service")
    assert (answer["done"], answer["unchanged"], answer["count"]) == (4, 1, 5)
    answer = it.ask("pause", "-", kind="all")
    assert (answer["done"], answer["unchanged"], answer["count"]) == (1, 5, 6)
    it.fleet.send(signal.SIGUSR2)
    for name in [f"demo-a-{n}" for n in range(1, 6)] + ["demo-b-1"]:
        it.fleet.wait_event("unpause", container=name)
    answer = it.ask("restart", "a", kind="service")
    assert answer["done"] == 5 and len(it.fleet.events("restart")) == 5
    assert not it.fleet.events("restart", service="b")
    it.fleet.send(signal.SIGUSR1)
    it.fleet.wait_event("pause", container="demo-b-1", count=2)
    assert it.ask("kill", "-", kind="all")["done"] == 6
    it.fleet.stop()


def test_a_start_that_fails(controlled, tmp_path):
    it = controlled(service("a") + service("b"))
    it.ready()
    assert it.ask("stop", "demo-a-1") == "done"
    blocker = os.path.join(os.path.dirname(it.fleet.cgroup_of("demo-b-1")), "demo-a-1")
    os.mkdir(blocker)
    answer = it.answer(it.send("restart", "demo-a-1"))
    assert answer["failed"] == 1 and "demo-a-1: cgroup: " in answer["error"] and "File exists" in answer["error"]
    os.rmdir(blocker)
    assert it.ask("start", "demo-a-1") == "done"
    assert not it.fleet.events("restart")
    it.fleet.stop()


def test_what_cannot_be_asked(controlled):
    it = controlled(service("a"))
    it.ready()
    for arguments, error in ((("pause", "demo-x-1"), "no such container: demo-x-1"),
                             (("pause", "x", "service"), "no such service: x"),
                             (("dance", "demo-a-1"), "no such action or signal"),
                             (("kill", "demo-a-1", "container", 999), "no such action or signal")):
        answer = it.answer(it.send(*arguments))
        assert answer["code"] < 0 and answer["error"] == error
    stop = it.send("stop", "demo-a-1", grace_ms=3600_000)
    it.answer(stop)
    it.fleet.stop()


def test_a_fleet_that_goes_down_answers_all(controlled):
    it = controlled(service("a", DEAF) + service("b"))
    it.ready()
    it.ready("demo-b-1")
    stop, pause = it.send("stop", "demo-a-1"), it.send("pause", "demo-b-1")
    assert it.answer(pause)["done"] == 1
    start = it.send("start", "demo-a-1")
    it.fleet.wait_event("kill", container="demo-a-1")
    it.fleet.send(signal.SIGTERM)
    it.fleet.wait_event("die", container="demo-b-1")
    late = it.send("pause", "demo-a-1")
    assert it.answer(late)["error"] == "the fleet is not up"
    os.kill(it.fleet.pid_of("demo-a-1"), signal.SIGKILL)
    assert it.answer(stop)["done"] == 1
    assert it.answer(start)["error"] in ("the fleet is taken down", "demo-a-1: start: overtaken by stop")
    assert it.fleet.wait().returncode == 0


def test_a_pause_outlives_the_freeze_of_a_rule(controlled):
    """Two reasons to be frozen: it is thawed when both are gone."""
    burn = "    x-shoal: {pressure: [{on: cpu, some: 150ms, do: freeze}]}\n"
    hogs = "; ".join(["(while :; do :; done) &"] * (2 * os.cpu_count() + 1)).replace("&;", "&") + " touch /tmp/ready; wait"
    it = controlled(service("a", hogs, burn) + service("b", hogs, burn))
    it.fleet.wait_event("pause", container="demo-a-1", timeout=30)
    paused = time.monotonic()
    assert it.ask("pause", "demo-a-1") == "done"
    assert it.ask("pause", "demo-a-1") == "unchanged"
    # Five windows of two seconds are over when the other one, frozen for as long each time, is thawed later than that.
    while time.monotonic() < paused + 10.5:
        it.fleet.wait_event("unpause", container="demo-b-1", timeout=30, since=it.fleet.mark())
    assert it.order() == ["create", "start", "pressure", "pause"]
    assert it.fleet.wait_record("container", since=it.fleet.mark(), container="demo-a-1")["state"] == "paused"
    assert it.ask("unpause", "demo-a-1") == "done"
    assert it.order()[4] == "unpause"
    it.fleet.stop()


def test_an_unpause_waits_for_the_rule_and_a_stop_does_not(controlled):
    burn = "    x-shoal: {pressure: [{on: cpu, some: 150ms, do: freeze}]}\n"
    hogs = "; ".join(["(while :; do :; done) &"] * (2 * os.cpu_count() + 1)).replace("&;", "&") + " trap \"exit 7\" TERM; wait"
    it = controlled(service("a", hogs, burn))
    it.fleet.wait_event("pause", container="demo-a-1", timeout=30)
    number = it.send("unpause", "demo-a-1")
    it.fleet.wait_event("unpause", container="demo-a-1", timeout=30)
    assert it.answer(number)["done"] == 1
    it.fleet.wait_event("pause", container="demo-a-1", timeout=30, count=2)
    assert it.ask("kill", "demo-a-1", number=signal.SIGTERM) == "done"
    died = it.fleet.wait_event("die", container="demo-a-1")
    assert (died["exitCode"], died["cause"]) == (7, "exit")
    assert it.order()[-3:] == ["kill", "unpause", "die"]
    it.fleet.stop()
