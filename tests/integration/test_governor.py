"""The gate that starts pass: many that crash at once come back spread out, service by service, and the loop stays free."""
import datetime
import os
import signal

import pytest

import shoal

needs_pressure = pytest.mark.skipif(not os.path.exists("/proc/pressure/cpu"), reason="a kernel without /proc/pressure")


def head(governor, more=""):
    return f"name: demo\nx-shoal: {{degrade: true, governor: {governor}, restart: {{backoff: 20ms, jitter: 0}}}}\nservices:\n{more}"


BUCKET_ALONE = "pressure: {cpu: 100, memory: 100, io: 100}"  # which is never exceeded, however busy the machine is


def sleepers(count, name="s"):
    return "".join(f"  {name}{i}: {{image: 'builtin:busybox', command: [sleep, '1000'], network_mode: none, restart: always}}\n"
                   for i in range(count))


def kill_all(started, since=0, but=None):
    """A crash of everything that started, but for one service: their pids are gone at the same moment."""
    for record in started.events("start", since=since):
        if record["service"] != but:
            os.kill(record["pid"], signal.SIGKILL)


def when(record):
    return datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00")).timestamp()


def test_a_storm_is_spread(fleet):
    count, rate, burst = 50, 20, 5
    started = fleet(head(f"{{rate: {rate}, burst: {burst}, {BUCKET_ALONE}}}") + sleepers(count), "--interval", "500ms")
    started.wait_event("start", count=count, timeout=60)
    # the gate has had its pause before the storm: it says itself when it is open again
    started.wait_event("throttle", state="open", reason="rate")
    mark = started.mark()
    kill_all(started)
    started.wait_event("start", count=count, since=mark, timeout=60)
    started.wait_event("throttle", since=mark, state="open", reason="rate")
    times = [when(r) for r in started.events("start", since=mark)]
    assert len(times) == count
    # no slower than the rate of a machine that keeps up would be by far, and never faster than it
    assert times[-1] - times[0] >= (count - burst - 1) / rate * 0.9
    for i in range(count):
        within = [t for t in times if times[i] <= t < times[i] + 0.25]
        assert len(within) <= burst + rate * 0.25 * 1.5 + 2, f"{len(within)} starts in a quarter of a second"
    # each service once, with its own attempt, and one event for the whole of it
    assert len({r["service"] for r in started.events("start", since=mark)}) == count
    slow = started.events("throttle", since=mark, state="slow")
    assert len(slow) == 1 and slow[0]["starts"] == "all" and slow[0]["rate"] == rate and slow[0]["waiting"] > 0
    assert "container" not in slow[0] and slow[0]["project"] == "demo"
    lag = max(r["loop_lag_usec"]["max"] for r in started.records[mark:] if r["type"] == "supervisor")
    assert lag < 500_000 * shoal.SCALE
    started.stop()


def test_services_take_turns(fleet):
    text = (head(f"{{rate: 20, burst: 1, {BUCKET_ALONE}}}") +
            "  big: {image: 'builtin:busybox', command: [sleep, '1000'], network_mode: none, restart: always, scale: 40}\n" +
            sleepers(8))
    started = fleet(text)
    started.wait_event("start", count=48, timeout=60)
    mark = started.mark()
    kill_all(started)
    started.wait_event("start", count=24, since=mark, timeout=60)
    order = [r["service"] for r in started.events("start", since=mark)][:24]
    # however many of `big` wait, nobody else waits for more than one of them
    assert order.count("big") <= 24 - 8 and len(set(order)) == 9, order
    result = started.stop()
    assert result.returncode == 0


@needs_pressure
def test_pressure_slows_restarts_alone(fleet):
    count = 50
    text = (head("{pressure: {cpu: 1}}") + sleepers(count) +
            "  spin: {image: 'builtin:busybox', command: [sh, -c, 'while :; do :; done'], network_mode: none, scale: 3}\n")
    started = fleet(text, "--interval", "500ms")
    started.wait_event("start", count=count + 3, timeout=60)
    assert not started.events("throttle"), "ordinary starts do not heed the processors"
    mark = 0
    for _ in range(20):  # the first time they may all be back before the pressure is felt; their backoff grows
        since, mark = mark, started.mark()
        kill_all(started, since=since, but="spin")  # they keep the processors busy
        started.wait_event("start", count=count, since=mark, timeout=60)
        if started.events("throttle"):
            break
    slow = started.wait_event("throttle", state="slow", timeout=30)
    assert (slow["starts"], slow["reason"], slow["limit"]) == ("crashed", "cpu", 1) and slow["pressure"] > 1
    assert slow["rate"] >= 25 and slow["waiting"] > 0
    for start in started.events("start", service="spin"):  # they do not come back
        os.kill(start["pid"], signal.SIGKILL)
    opened = started.wait_event("throttle", state="open", timeout=60)
    assert opened["starts"] == "crashed" and opened["seq"] > slow["seq"]
    started.stop()


@needs_pressure
def test_jobs_that_are_done_are_no_crash(fleet):
    """An end with 0 is followed by an ordinary start, however busy the host is."""
    text = (head("{pressure: {cpu: 1, io: 1}, least: 1}") +
            "  job: {image: 'builtin:busybox', command: ['true'], network_mode: none, scale: 8, restart: always}\n")
    started = fleet(text.replace("backoff: 20ms", "backoff: 1ms, max: 1ms"))
    started.wait_event("start", count=300, timeout=60)
    assert not started.events("throttle")
    started.stop()


def test_off(fleet):
    started = fleet(head("off") + sleepers(30))
    started.wait_event("start", count=30, timeout=60)
    kill_all(started)
    started.wait_event("start", count=60, timeout=60)
    assert not started.events("throttle")
    started.stop()


def test_down_in_the_middle_of_a_storm(fleet):
    """What waits at the gate when the fleet is taken down never starts."""
    started = fleet(head(f"{{rate: 2, burst: 20, {BUCKET_ALONE}}}") + sleepers(20))
    started.wait_event("start", count=20, timeout=60)
    kill_all(started)
    started.wait_event("backoff", count=20)
    mark = started.mark()
    result = started.stop()
    assert result.returncode == 0
    assert len(result.events("destroy")) == 20
    assert len([r for r in result.records[mark:] if r.get("event") == "start"]) <= 3
