"""Hundreds at once: what it costs the supervisor, and that nothing is left."""
import os
import signal

import shoal

COUNT = 300


def test_hundreds_come_and_go(fleet):
    text = ("name: demo\nx-shoal: {degrade: true}\nservices:\n"
            f"  a: {{image: 'builtin:busybox', command: [sleep, '1000'], scale: {COUNT}}}\n"
            "networks: {default: {x-shoal: {shard: 250}}}\n")
    started = fleet(text, "--interval", "1s")
    started.wait_event("start", timeout=60, count=COUNT)
    assert len({r["pid"] for r in started.events("start")}) == COUNT
    maps = set()
    addresses = {r["address"] for r in started.events("connect")}
    for event in started.events("start"):
        with open(f"/proc/{event['pid']}/uid_map") as lines:
            maps.add(lines.read())
    assert len(maps) == COUNT and len(addresses) == COUNT
    mark = started.mark()
    host = started.wait_record("host", since=mark)
    # what was computed before the first start is what it took
    limits, network = host["limits"], host["networks"]["default"]
    assert COUNT * 4 <= limits["RLIMIT_NOFILE"]["used"] <= limits["RLIMIT_NOFILE"]["needed"]
    assert limits["fs.inotify.max_user_watches"]["used"] == limits["fs.inotify.max_user_watches"]["needed"]
    assert network["addresses"]["used"] == network["addresses"]["needed"] == COUNT
    assert network["BR_MAX_PORTS"]["used"] == network["BR_MAX_PORTS"]["needed"] == 250 + 1
    assert limits["kernel.pid_max"]["used"] >= limits["kernel.pid_max"]["needed"] == COUNT
    record = started.wait_record("supervisor", since=mark)
    assert record["fds"] <= 4 * COUNT + 100
    assert record["rss"] < 30 << 20 or "san" in shoal.BIN
    result = started.stop(timeout=60)
    assert result.returncode == 0
    assert len(result.events("die")) == len(result.events("destroy")) == COUNT


def test_hundreds_of_services(fleet):
    """A service each: what is looked up, ordered, named and taken down service by service."""
    text = "name: demo\nx-shoal: {degrade: true}\nservices:\n" + "".join(
        f"  s{i}: {{image: 'builtin:busybox', command: [sleep, '1000'], stop_signal: KILL"
        + (f", depends_on: [s{i - 1}]" if i % 10 else "") + "}\n" for i in range(COUNT))
    started = fleet(text, "--interval", "1s")
    started.wait_event("start", timeout=60, count=COUNT)
    order = {r["service"]: r["seq"] for r in started.events("start")}
    assert all(order[f"s{i - 1}"] < order[f"s{i}"] for i in range(COUNT) if i % 10)
    seen = started.inside(f"demo-s{COUNT - 1}-1", "cat", "/etc/hosts").stdout
    assert len([line for line in seen.splitlines() if "demo-s" in line]) == COUNT
    assert not started.events("throttle"), "a way up is not slowed down"
    result = started.stop(timeout=60)
    order = {r["service"]: r["seq"] for r in result.events("die")}
    assert all(order[f"s{i - 1}"] > order[f"s{i}"] for i in range(COUNT) if i % 10)
    assert result.returncode == 0


def test_all_killed_at_once(fleet):
    text = ("name: demo\nx-shoal: {degrade: true}\nservices:\n"
            "  a: {image: 'builtin:busybox', command: [sleep, '1000'], network_mode: none, scale: 100, restart: 'on-failure:1'}\n")
    started = fleet(text)
    started.wait_event("start", timeout=60, count=100)
    for event in started.events("start"):
        os.kill(event["pid"], signal.SIGKILL)
    started.wait_event("start", timeout=60, count=200)
    deaths = started.events("die")
    assert {d["cause"] for d in deaths} == {"signal"} and len(deaths) == 100
    started.stop(timeout=60)
