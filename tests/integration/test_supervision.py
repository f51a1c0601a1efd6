"""Start, restart, order, stop, crash: what the supervisor does and says."""
import os
import signal
import time

import shoal

HEAD = "name: demo\nx-shoal: {degrade: true}\nservices:\n"


def service(name, script, extra=""):
    quoted = script.replace("'", "''").replace("$", "$$")
    return (f"  {name}:\n    image: builtin:busybox\n    network_mode: none\n    command: [sh, -c, '{quoted}']\n{extra}")


def sleeper(name, extra=""):
    return f"  {name}:\n    image: builtin:busybox\n    network_mode: none\n    command: [sleep, '1000']\n{extra}"


def test_ends_by_itself_when_all_have_ended(fleet):
    started = fleet(HEAD + service("a", "exit 0") + service("b", "exit 3"))
    result = started.wait()
    assert result.returncode == 0
    assert result.events("die", container="demo-a-1")[0]["exitCode"] == 0
    died = result.events("die", container="demo-b-1")[0]
    assert (died["exitCode"], died["cause"], died["restart"]) == (3, "exit", "no")
    assert len(result.events("destroy")) == 2


def test_order_of_one_life(fleet):
    result = fleet(HEAD + service("a", "exit 0")).wait()
    assert [r["event"] for r in result.events(container="demo-a-1")] == ["create", "start", "die", "destroy"]
    numbers = [r["seq"] for r in result.records if r["type"] == "event"]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_numbers_go_on_in_the_same_run_directory(fleet, fleet_folder):
    folder = fleet_folder / "again"
    folder.mkdir(mode=0o711)
    first = fleet(HEAD + service("a", "exit 0"), folder=str(folder)).wait()
    second = fleet(HEAD + service("a", "exit 0"), folder=str(folder)).wait()
    assert second.events()[0]["seq"] == first.events()[-1]["seq"] + 1


def test_a_killed_container_is_restarted(fleet):
    started = fleet(HEAD + sleeper("a", "    restart: always\n"))
    started.wait_event("start", container="demo-a-1")
    pid = started.pid_of("demo-a-1")
    killed = time.time()
    os.kill(pid, signal.SIGKILL)
    died = started.wait_event("die", container="demo-a-1")
    assert (died["exitCode"], died["signal"], died["cause"], died["restart"]) == (137, "SIGKILL", "signal", "backoff")
    backoff = started.wait_event("backoff", container="demo-a-1")
    assert 85_000 <= backoff["delay_usec"] <= 115_000 and backoff["attempt"] == 1
    again = started.wait_event("start", container="demo-a-1", count=2)
    assert again["pid"] != pid and again["attempt"] == 1
    assert time.time() - killed >= 0.085
    started.stop()


def test_backoff_doubles_and_gives_up(fleet):
    text = (HEAD.replace("degrade: true", "degrade: true, restart: {backoff: 20ms, factor: 2, max: 50ms, jitter: 0}") +
            service("a", "exit 9", "    restart: on-failure:4\n"))
    result = fleet(text).wait()
    delays = [r["delay_usec"] for r in result.events("backoff")]
    assert delays == [20_000, 40_000, 50_000, 50_000]
    assert len(result.events("start")) == 5
    assert [r["restart"] for r in result.events("die")] == ["backoff"] * 4 + ["no"]


def test_on_failure_leaves_success_alone(fleet):
    result = fleet(HEAD + service("a", "exit 0", "    restart: on-failure\n")).wait()
    assert len(result.events("start")) == 1


def test_deploy_restart_policy(fleet):
    extra = "    deploy: {restart_policy: {condition: any, delay: 30ms, max_attempts: 2}}\n"
    result = fleet(HEAD + service("a", "exit 0", extra)).wait()
    assert len(result.events("start")) == 3
    assert 25_000 <= result.events("backoff")[0]["delay_usec"] <= 35_000


def test_comes_up_in_the_order_of_dependencies(fleet):
    text = (HEAD + service("setup", "sleep 0.2; exit 0") + sleeper("db") +
            sleeper("app", "    depends_on:\n      setup: {condition: service_completed_successfully}\n"
                           "      db: {condition: service_started}\n") +
            sleeper("web", "    depends_on: [app]\n    scale: 2\n"))
    started = fleet(text)
    for container in ("demo-web-1", "demo-web-2"):
        started.wait_event("start", container=container)
    seq = {r["container"]: r["seq"] for r in started.events("start")}
    setup_died = started.events("die", container="demo-setup-1")[0]["seq"]
    assert setup_died < seq["demo-app-1"] and seq["demo-db-1"] < seq["demo-app-1"] < seq["demo-web-1"]
    result = started.stop()
    died = {r["container"]: r["seq"] for r in result.events("die")}
    assert max(died["demo-web-1"], died["demo-web-2"]) < died["demo-app-1"] < died["demo-db-1"]
    assert result.returncode == 0


def test_what_depends_on_a_failure_is_not_started(fleet):
    text = (HEAD + service("setup", "exit 4") +
            sleeper("app", "    depends_on: {setup: {condition: service_completed_successfully}}\n") +
            sleeper("web", "    depends_on: [app]\n"))
    started = fleet(text)
    result = started.wait()
    assert result.returncode == 1
    assert [r["container"] for r in result.events("start")] == ["demo-setup-1"]
    assert any("app" in line and "setup" in line for line in result.messages)
    assert any("web" in line and "app" in line for line in result.messages)


def test_a_missing_program_is_said_in_one_line(fleet):
    started = fleet(HEAD + "  a: {image: 'builtin:busybox', network_mode: none, command: [nothere], restart: always}\n")
    result = started.wait()
    assert result.returncode == 1
    died = result.events("die")[0]
    assert (died["cause"], died["exitCode"]) == ("failed", 127)
    assert died["error"] == "demo-a-1: start: execute nothere: No such file or directory"
    assert "shoal: " + died["error"] in result.messages
    assert not result.events("start")


def test_a_missing_program_under_init(fleet):
    started = fleet(HEAD + "  a: {image: 'builtin:busybox', network_mode: none, init: true, command: [nothere]}\n")
    result = started.wait()
    died = result.events("die")[0]
    assert (died["cause"], died["exitCode"]) == ("failed", 127) and "execute nothere" in died["error"]


def test_stop_waits_for_the_signal_handler(fleet):
    started = fleet(HEAD + service("a", "trap 'sleep 0.2; exit 5' TERM; echo ready; while :; do sleep 0.05; done"))
    shoal.wait_for(lambda: started.log_records("demo-a-1"), what="ready")
    result = started.stop()
    assert [r["event"] for r in result.events(container="demo-a-1")] == ["create", "start", "kill", "die", "stop", "destroy"]
    assert result.events("kill")[0]["signal"] == "SIGTERM"
    died = result.events("die")[0]
    assert (died["exitCode"], died["cause"]) == (5, "stop")


def test_grace_ends_in_a_kill(fleet):
    started = fleet(HEAD + service("a", "trap '' TERM; trap : USR1; echo ready; while :; do sleep 0.05; done",
                                   "    stop_grace_period: 300ms\n    stop_signal: SIGUSR1\n"))
    shoal.wait_for(lambda: started.log_records("demo-a-1"), what="ready")
    result = started.stop()
    died = result.events("die")[0]
    assert (died["exitCode"], died["signal"], died["cause"]) == (137, "SIGKILL", "stop-timeout")


def test_a_process_that_cannot_hear_is_not_waited_for(fleet):
    """The first process of a pid namespace never sees a signal that it does not handle."""
    started = fleet(HEAD + sleeper("a", "    stop_grace_period: 60s\n"))
    started.wait_event("start")
    result = started.stop(timeout=20)
    died = result.events("die")[0]
    assert (died["exitCode"], died["cause"]) == (137, "stop")


def test_second_interrupt_kills_at_once(fleet):
    started = fleet(HEAD + service("a", "trap '' TERM INT; echo ready; while :; do sleep 0.05; done", "    stop_grace_period: 60s\n"))
    shoal.wait_for(lambda: started.log_records("demo-a-1"), what="ready")
    started.send(signal.SIGINT)
    started.wait_event("kill")
    result = started.stop(signal.SIGTERM, timeout=20)
    assert result.events("die")[0]["exitCode"] == 137
    assert result.returncode == 0


def test_hangup_harms_nothing(fleet):
    started = fleet(HEAD + sleeper("a"))
    started.wait_event("start")
    started.send(signal.SIGHUP)
    started.wait_record("fleet", since=started.mark(), running=1)
    assert started.running
    started.stop()


def test_services_by_name_bring_their_dependencies(fleet):
    text = HEAD + sleeper("db") + sleeper("app", "    depends_on: [db]\n") + sleeper("other")
    started = fleet(text, "app")
    started.wait_event("start", container="demo-app-1")
    result = started.stop()
    assert {r["container"] for r in result.events("create")} == {"demo-db-1", "demo-app-1"}


def test_exit_code_from(fleet):
    text = HEAD + sleeper("db") + service("job", "sleep 0.1; exit 42", "    depends_on: [db]\n")
    assert fleet(text, "--exit-code-from", "job").wait().returncode == 42


def test_abort_on_container_exit(fleet):
    result = fleet(HEAD + sleeper("db") + service("job", "exit 0"), "--abort-on-container-exit").wait()
    assert result.events("die", container="demo-db-1")[0]["cause"] == "stop"


def test_the_same_project_runs_once(fleet, fleet_folder):
    started = fleet(HEAD + sleeper("a"))
    started.wait_event("start")
    again = shoal.run("up", "-f", started.file, "--root", started.root, "--run", started.run_dir)
    assert again.returncode == 1 and "already running" in again.stderr
    other = shoal.run("up", "-f", started.file, "--root", fleet_folder / "r", "--run", fleet_folder / "elsewhere")
    assert other.returncode == 1 and "already running" in other.stderr
    started.stop()


def test_after_a_crash_what_is_left_is_cleared_first(fleet, fleet_folder):
    folder = fleet_folder / "crash"
    folder.mkdir(mode=0o711)
    text = HEAD + sleeper("a", "    scale: 3\n") + "  n: {image: 'builtin:busybox', command: [sleep, '1000']}\n"
    first = fleet(text, folder=str(folder))
    for container in ("demo-a-1", "demo-a-2", "demo-a-3", "demo-n-1"):
        first.wait_event("start", container=container)
    pids = [first.pid_of(c) for c in ("demo-a-1", "demo-a-2", "demo-a-3", "demo-n-1")]
    first.kill()
    for pid in pids:
        assert os.path.exists(f"/proc/{pid}")  # crash-only: the sandboxes go on
    second = fleet(text, folder=str(folder))
    second.wait_event("start", container="demo-n-1")
    second.wait_message("demo-a-1: left by a supervisor")
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat").read().split()[2] == "Z"
    assert second.stop().returncode == 0


def test_numbers_of_the_fleet_line(fleet):
    text = HEAD + sleeper("a", "    scale: 2\n") + service("b", "exit 0")
    started = fleet(text, "--interval", "100ms")
    record = started.wait_record("fleet", check=lambda r: r["running"] == 2 and r["exited"] == 1)
    assert (record["project"], record["starts"], record["deaths"], record["backoff"]) == ("demo", 3, 1, 0)
    started.stop()
