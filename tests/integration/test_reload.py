"""SIGHUP: the files are read again, and what changed of the limits is in force without a restart."""
import os
import signal

import pytest

import shoal
from test_resources import HEAD, read, service


def rewrite(started, text):
    with open(started.file + ".new", "w") as out:
        out.write(text)
    os.rename(started.file + ".new", started.file)
    started.process.send_signal(signal.SIGHUP)


def message(started, part, count=1):
    """Wait until stderr has said so `count` times; the last such line."""
    return shoal.wait_for(lambda: (lambda found: len(found) >= count and found[-1])(
        [line for line in started.messages if part in line]), what=lambda: f"{part!r} in {started.messages}")


SLEEPER = service("a", "sleep 1000")


@pytest.mark.parametrize("extra, wanted", [
    ("    read_only: true\n", "compose.yaml:7:5: services.a.read_only: is not what runs; a reload changes limits alone"),
    ("    environment: {A: b}\n", "compose.yaml:7:5: services.a.environment: is not what runs"),
    ("    deploy: {replicas: 2}\n", "compose.yaml:7:14: services.a.deploy.replicas: is not what runs"),
    ("    x-shoal: {warm: 1}\n", "compose.yaml:7:15: services.a.x-shoal.warm: is not what runs"),
    (service("b", "sleep 1000"), "compose.yaml:7:3: services.b: is new; a reload changes limits alone"),
])
def test_anything_else_is_refused_whole(fleet, extra, wanted):
    started = fleet(HEAD + SLEEPER)
    pid = started.wait_event("start")["pid"]
    rewrite(started, HEAD + SLEEPER + extra)
    assert wanted in message(started, wanted)
    message(started, "not reloaded: 1 key cannot be changed while the fleet runs; nothing was changed")
    os.kill(pid, 0)
    assert started.stop().events("update") == []


def test_what_is_gone_is_refused(fleet):
    started = fleet(HEAD + SLEEPER + "    read_only: true\n" + service("b", "sleep 1000"))
    started.wait_event("start", count=2)
    rewrite(started, HEAD + SLEEPER)
    message(started, "services.a.read_only: is gone, but the fleet runs with it")
    message(started, "services.b: is gone, but runs")
    message(started, "not reloaded: 2 keys cannot be changed")
    started.stop()


def test_the_tree_of_groups_stays(fleet):
    text = "name: demo\nx-shoal: {degrade: true, groups: {%s: {}}}\nservices:\n"
    started = fleet(text % "g" + SLEEPER)
    started.wait_event("start")
    rewrite(started, text % "h" + SLEEPER)
    message(started, "x-shoal.groups.g: is gone, but is there; a reload changes limits alone")
    message(started, "x-shoal.groups.h: is new; a reload changes limits alone")
    message(started, "not reloaded: 2 keys cannot be changed")
    started.stop()


def test_a_bad_file_changes_nothing(fleet):
    started = fleet(HEAD + SLEEPER)
    pid = started.wait_event("start")["pid"]
    rewrite(started, HEAD + SLEEPER + "    pids_limit: many\n")
    message(started, "compose.yaml:7:5: services.a.pids_limit")
    message(started, "not reloaded: the fleet goes on as it was")
    rewrite(started, HEAD + SLEEPER.replace("    network_mode: none\n", "    network_mode: none # a comment\n"))
    message(started, "reloaded: 0 containers changed, 0 failed")
    os.kill(pid, 0)
    assert started.stop().returncode == 0


def test_reload_at_the_end(fleet):
    """A reload that is under way when the fleet ends harms nothing."""
    started = fleet(HEAD + SLEEPER)
    started.wait_event("start")
    for _ in range(20):
        rewrite(started, HEAD + SLEEPER)
    assert started.stop().returncode == 0


@pytest.mark.needs_controllers
def test_limits_change_in_place(fleet):
    old = "    mem_limit: 64m\n    memswap_limit: 64m\n    cpus: 0.5\n    cpu_shares: 512\n    pids_limit: 33\n"
    new = "    mem_limit: 96m\n    memswap_limit: 128m\n    mem_reservation: 16m\n    cpuset: '0'\n    pids_limit: 44\n"
    many = "    deploy: {replicas: 40}\n"
    started = fleet(HEAD + service("a", "sleep 1000", old + many), "--interval", "500ms")
    pids = {started.wait_event("start", count=n + 1)["pid"] for n in range(40)}
    rewrite(started, HEAD + service("a", "sleep 1000", new + many))
    message(started, "reloaded: 40 containers changed, 0 failed")
    updates = started.events("update")
    assert sorted(u["container"] for u in updates) == sorted(f"demo-a-{n + 1}" for n in range(40))
    assert updates[0]["changes"] == {
        "memory.max": {"from": str(64 << 20), "to": str(96 << 20)},
        "memory.swap.max": {"from": "0", "to": str(32 << 20)},
        "memory.low": {"from": "0", "to": str(16 << 20)},
        "cpu.max": {"from": "50000 100000", "to": "max 100000"},
        "cpu.weight": {"from": updates[0]["changes"]["cpu.weight"]["from"], "to": "100"},
        "cpuset.cpus": {"from": "", "to": "0"},
        "pids.max": {"from": "33", "to": "44"},
    }
    for name in ("demo-a-1", "demo-a-40"):
        for file, change in updates[0]["changes"].items():
            assert read(started, name, file) == change["to"]
    limits = started.wait_record("container", since=started.mark(), container="demo-a-40")["limits"]
    assert limits == {"memory.max": str(96 << 20), "memory.swap.max": str(32 << 20), "memory.low": str(16 << 20),
                      "cpuset.cpus": "0", "pids.max": "44", "memory.oom.group": "1"}
    assert {int(e["pid"]) for e in started.events("start")} == pids
    for pid in pids:
        os.kill(pid, 0)
    assert started.stop().events("die", cause="oom") == []


@pytest.mark.needs_controllers
def test_a_limit_below_use_is_refused_by_container(fleet):
    """One uses more than the new limit, another does not: the first keeps all that it had, nobody is killed."""
    script = "case $HOSTNAME in *-1) dd if=/dev/zero of=/dev/shm/f bs=1M count=40;; esac; echo ready; sleep 1000"
    many = "    deploy: {replicas: 2}\n"
    started = fleet(HEAD + service("a", script, "    mem_limit: 64m\n    memswap_limit: 64m\n    pids_limit: 30\n" + many), "--logs")
    message(started, "ready", 2)
    rewrite(started, HEAD + service("a", script, "    mem_limit: 16m\n    memswap_limit: 16m\n    pids_limit: 20\n" + many))
    message(started, "reloaded: 1 containers changed, 1 failed")
    said = message(started, "demo-a-1: update: ")
    assert "memory.max: write '16777216': Device or resource busy" in said and "keeps the limits that it had" in said
    assert read(started, "demo-a-1", "memory.max") == str(64 << 20) and read(started, "demo-a-1", "pids.max") == "30"
    assert read(started, "demo-a-2", "memory.max") == str(16 << 20) and read(started, "demo-a-2", "pids.max") == "20"
    assert [u["container"] for u in started.events("update")] == ["demo-a-2"]
    assert started.stop().events("oom") == []


@pytest.mark.needs_controllers
def test_who_waits_gets_it_at_the_start(fleet):
    """In backoff, parked before execve, and again after that."""
    text = HEAD + service("a", "exit 1", "    restart: always\n    pids_limit: {0}\n    mem_limit: {1}\n"
                          "    x-shoal: {{warm: 1, restart: {{backoff: 3s, jitter: 0}}}}\n")
    started = fleet(text.format(33, "64m"), "--interval", "100ms")
    started.wait_event("backoff")
    started.wait_record("fleet", check=lambda r: r.get("parked") == 1)
    rewrite(started, text.format(22, "32m"))
    message(started, "reloaded: 0 containers changed, 0 failed")
    started.wait_event("start", count=2, timeout=30)
    started.wait_record("container", check=lambda r: r["state"] == "exited" and "memory" in r and (
        r["pids"].get("max"), r["memory"].get("max")) == (22, 32 << 20))
    started.stop()


@pytest.mark.needs_controllers
def test_groups_and_the_budget_change_in_place(fleet):
    text = "name: demo\nx-shoal: {pool: 0, groups: {g: {%s}, g/h: {%s}}%s}\nservices:\n"
    member = SLEEPER + "    x-shoal: {group: g/h}\n"
    started = fleet(text % ("mem_limit: 128m", "", "") + member)
    pid = started.wait_event("start")["pid"]
    rewrite(started, text % ("mem_limit: 96m, cpu_quota: 50000, x-shoal: {memory_high: 64m}", "pids_limit: 77", ", budget: {pids_limit: 99}") + member)
    message(started, "reloaded: 3 groups and 0 containers changed, 0 failed")
    inner = os.path.dirname(started.cgroup_of("demo-a-1"))

    def value(path, file):
        with open(f"{path}/{file}") as text:
            return text.read().strip()
    group = os.path.dirname(inner)
    assert [value(group, f) for f in ("memory.max", "memory.high", "cpu.max")] == [str(96 << 20), str(64 << 20), "50000 100000"]
    assert value(inner, "pids.max") == "77" and value(os.path.dirname(group), "pids.max") == "99"
    updates = {u["group"]: u["changes"] for u in started.events("update")}
    assert updates == {
        "g": {"memory.max": {"from": str(128 << 20), "to": str(96 << 20)}, "memory.high": {"from": "max", "to": str(64 << 20)},
              "cpu.max": {"from": "max 100000", "to": "50000 100000"}},
        "g/h": {"pids.max": {"from": "max", "to": "77"}}, "/": {"pids.max": {"from": "max", "to": "99"}}}
    rewrite(started, text % ("mem_limit: 128m", "", "") + member)
    message(started, "reloaded: 3 groups and 0 containers changed, 0 failed", 2)
    assert value(group, "memory.max") == str(128 << 20) and value(os.path.dirname(group), "pids.max") == "max"
    os.kill(pid, 0)
    started.stop()


@pytest.mark.needs_controllers
def test_the_first_shared_limit_on_memory_is_refused(fleet):
    text = "name: demo\nx-shoal: {groups: {g: {%s}}}\nservices:\n"
    started = fleet(text % "" + SLEEPER)
    started.wait_event("start")
    rewrite(started, text % "mem_limit: 64m" + SLEEPER)
    message(started, "compose.yaml:2:24: x-shoal.groups.g.mem_limit: is the first limit on memory that sandboxes share")
    started.stop()


@pytest.mark.needs_controllers
def test_a_group_that_uses_more_keeps_its_limit(fleet):
    text = "name: demo\nx-shoal: {groups: {g: {mem_limit: %s}}}\nservices:\n"
    member = service("a", "dd if=/dev/zero of=/dev/shm/f bs=1M count=40; echo ready; sleep 1000", "    x-shoal: {group: g}\n")
    started = fleet(text % "128m" + member, "--logs")
    message(started, "ready")
    rewrite(started, text % "16m" + member)
    message(started, "reloaded: 0 containers changed, 1 failed")
    assert "Device or resource busy" in message(started, "group g: update: memory.max: write '16777216'")
    with open(os.path.dirname(started.cgroup_of("demo-a-1")) + "/memory.max") as limit:
        assert limit.read().strip() == str(128 << 20)
    started.stop()
