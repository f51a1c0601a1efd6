"""A frozen sandbox: believed when the kernel says so, whoever wrote cgroup.freeze, and what ends it."""
import os
import signal

from shoal import wait_for

HEAD = "name: demo\nx-shoal: {degrade: true}\nservices:\n"
COUNTER = ("  a:\n    image: builtin:busybox\n    network_mode: none\n    stop_grace_period: 20s\n"
           "    command: [sh, -c, 'trap \"exit 7\" TERM; i=0; while :; do i=$$((i+1)); echo $$i > /tmp/count; sleep 0.01; done']\n"
           "    tmpfs: [/tmp]\n")


def freeze(started, value):
    with open(started.cgroup_of("demo-a-1") + "/cgroup.freeze", "w") as file:
        file.write(value)


def frozen(started):
    with open(started.cgroup_of("demo-a-1") + "/cgroup.events") as file:
        return "frozen 1" in file.read()


def count(started):
    return started.inside("demo-a-1", "cat", "/tmp/count").stdout


def start_frozen(fleet, text=COUNTER):
    started = fleet(HEAD + text, "--interval", "100ms")
    started.wait_event("start")
    wait_for(lambda: count(started), what="the counter")
    freeze(started, "1")
    started.wait_event("pause", container="demo-a-1")
    return started


def order(result):
    return [r["event"] for r in result.events(container="demo-a-1")]


def test_what_the_kernel_says_is_told(fleet):
    started = start_frozen(fleet)
    assert frozen(started)
    sample = started.wait_record("container", since=started.mark())
    assert sample["state"] == "paused" and sample["frozen"] == 1
    line = started.wait_record("fleet", since=started.mark())
    assert (line["paused"], line["running"]) == (1, 0)
    before = count(started)
    started.wait_record("fleet", since=started.mark())
    assert count(started) == before
    freeze(started, "0")
    started.wait_event("unpause")
    wait_for(lambda: count(started) != before, what="the counter to go on")
    sample = started.wait_record("container", since=started.mark(), state="running")
    assert "frozen" not in sample
    assert order(started.stop()) == ["create", "start", "pause", "unpause", "kill", "die", "stop", "destroy"]


def test_a_stop_thaws_first(fleet):
    """As with docker: the signal is sent, then it is thawed and can take it."""
    result = start_frozen(fleet).stop()
    assert order(result) == ["create", "start", "pause", "kill", "unpause", "die", "stop", "destroy"]
    died = result.events("die")[0]
    assert (died["exitCode"], died["cause"]) == (7, "stop")


def test_a_second_signal_kills_the_frozen(fleet):
    started = start_frozen(fleet, COUNTER.replace("exit 7", ":").replace("20s", "600s"))
    started.send(signal.SIGINT)
    started.wait_event("kill")
    result = started.stop()
    assert result.events("die")[0]["signal"] == "SIGKILL"
    assert order(result)[-3:] == ["die", "stop", "destroy"]


def test_a_frozen_one_that_is_killed_was_not_thawed(fleet):
    started = start_frozen(fleet)
    os.kill(started.pid_of("demo-a-1"), signal.SIGKILL)
    result = started.wait()
    assert order(result) == ["create", "start", "pause", "die", "destroy"]
    assert (result.events("die")[0]["exitCode"], result.events("die")[0]["cause"]) == (137, "signal")


def test_its_next_run_is_not_frozen(fleet):
    started = start_frozen(fleet, COUNTER + "    restart: always\n")
    os.kill(started.pid_of("demo-a-1"), signal.SIGKILL)
    started.wait_event("start", count=2)
    wait_for(lambda: count(started), what="the counter")
    assert not frozen(started)
    started.stop()


def test_a_supervisor_that_is_killed_leaves_frozen_ones_and_the_next_clears_them(fleet, fleet_folder):
    folder = fleet_folder / "again"
    folder.mkdir(mode=0o711)
    started = fleet(HEAD + COUNTER, folder=str(folder))
    started.wait_event("start")
    pid = started.pid_of("demo-a-1")
    freeze(started, "1")
    started.wait_event("pause")
    started.kill()
    assert os.path.exists(f"/proc/{pid}")
    again = fleet(HEAD + COUNTER, folder=str(folder))
    again.wait_event("start", since=1)
    again.wait_message("demo-a-1: left by a supervisor that was killed")
    wait_for(lambda: not os.path.exists(f"/proc/{pid}") or "Z" in open(f"/proc/{pid}/stat").read().rpartition(")")[2][:3],
             what="the frozen one to go")
    again.stop()
