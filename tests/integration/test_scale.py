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
    record = started.wait_record("supervisor", since=started.mark())
    assert record["fds"] <= 4 * COUNT + 200  # and what does not grow with them: the stock of namespaces
    assert record["rss"] < 30 << 20 or "san" in shoal.BIN
    result = started.stop(timeout=60)
    assert result.returncode == 0
    assert len(result.events("die")) == len(result.events("destroy")) == COUNT


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
