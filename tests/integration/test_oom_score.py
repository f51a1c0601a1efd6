"""oom_score_adj: whom the kernel kills first. And that a group's limit never kills the supervisor, whose memory a child shares before
execve."""
import shutil

import pytest

import shoal

HEAD = "name: demo\nx-shoal: {degrade: true, pool: 0}\nservices:\n"
SAY = "cat /proc/self/oom_score_adj; exec sleep 1000"
AFTER = "    depends_on: {gate: {condition: service_completed_successfully}}\n"


def service(name, script=SAY, extra=""):
    return f"  {name}:\n    image: builtin:busybox\n    network_mode: none\n    command: [sh, -c, '{script}']\n{extra}"


GATE = service("gate", "while [ ! -e /open ]; do sleep 0.02; done")


def score(pid):
    with open(f"/proc/{pid}/oom_score_adj") as value:
        return int(value.read())


def said(started, container):
    shoal.wait_for(lambda: started.log_records(container), what=f"output of {container}")
    return started.log_records(container)[0]["log"].strip()


def test_each_gets_its_own(fleet):
    started = fleet(HEAD + GATE + service("none") + service("plain", extra="    oom_score_adj: 500\n") +
                    service("reaped", extra="    oom_score_adj: 1000\n    init: true\n") +
                    service("parked", extra="    oom_score_adj: 7\n    x-shoal: {warm: 1}\n" + AFTER) +
                    service("parked-reaped", extra="    oom_score_adj: 8\n    init: true\n    x-shoal: {warm: 1}\n" + AFTER),
                    "--interval", "100ms")
    own = score(started.process.pid)
    started.wait_event("start", count=4)
    started.wait_record("fleet", check=lambda r: r["parked"] == 2)
    started.inside("demo-gate-1", "touch", "/open")
    started.wait_event("start", count=6)
    for name, wanted in (("none", own), ("plain", 500), ("reaped", 1000), ("parked", 7), ("parked-reaped", 8)):
        assert said(started, f"demo-{name}-1") == str(wanted)
        assert score(started.pid_of(f"demo-{name}-1")) == wanted
    assert score(started.process.pid) == own
    with open(f"/proc/{started.pid_of('demo-plain-1')}/comm") as name:
        assert name.read().strip() == "sleep"
    started.stop()


@pytest.mark.parametrize("command, error", [
    ("nosuch", "execute nosuch: No such file or directory"), ("/etc/passwd", "execute /etc/passwd: Permission denied")])
@pytest.mark.parametrize("extra", ["", "    init: true\n"])
def test_a_command_that_cannot_be_executed(fleet, command, error, extra):
    started = fleet(HEAD + f"  a:\n    image: builtin:busybox\n    network_mode: none\n    command: [{command}]\n    oom_score_adj: 5\n" + extra)
    died = started.wait_event("die")
    assert (died["cause"], died["error"]) == ("failed", f"demo-a-1: start: {error}")
    assert started.wait().returncode == 1


def test_one_that_is_killed_while_it_is_parked(fleet):
    extra = "    oom_score_adj: 7\n    x-shoal: {warm: 1}\n" + AFTER
    started = fleet(HEAD + GATE + service("a", extra=extra), "--interval", "100ms")
    started.wait_record("fleet", check=lambda r: r["parked"] == 1)
    with open(f"{started.cgroup_of('demo-gate-1').rsplit('/', 1)[0]}/demo-a-1/cgroup.kill", "w") as kill:
        kill.write("1")
    started.wait_record("fleet", check=lambda r: r["parked"] == 0)
    started.inside("demo-gate-1", "touch", "/open")
    started.wait_event("start", service="a")
    assert said(started, "demo-a-1") == "7"
    started.stop()


def test_what_this_process_may_not_give(fleet_folder):
    file = fleet_folder / "fleet.yaml"
    file.write_text(HEAD + service("a", extra="    oom_score_adj: -500\n") + service("b", extra="    oom_score_adj: -600\n"))
    without = [shutil.which("setpriv"), "--bounding-set=-sys_resource", shoal.BIN]
    for verb in ("up", "preflight"):
        options = ["--root", fleet_folder / "root", "--run", fleet_folder / "run"]
        ran = shoal.run(*without[1:], verb, "-f", file, *options, program=without[0])
        assert ran.returncode == 2, ran.stderr
        assert f"{file}:13:5: services.b.oom_score_adj: " in ran.stderr
        assert ": -600: Permission denied; below 0, the supervisor's own, it needs CAP_SYS_RESOURCE" in ran.stderr


@pytest.mark.needs_controllers
def test_lower_than_the_supervisors_own(fleet):
    started = fleet(HEAD + service("a", extra="    oom_score_adj: -500\n"))
    started.wait_event("start")
    assert said(started, "demo-a-1") == "-500"
    assert score(started.process.pid) == 0
    started.stop()


@pytest.mark.needs_controllers
@pytest.mark.parametrize("where", ["budget", "group"])
def test_a_group_without_memory_spares_the_supervisor(fleet, where):
    """What fills the group belongs to no process. The largest process in it would be a parked child, with the supervisor's memory."""
    limits = {"budget": "budget: {mem_limit: 48m}, groups: {g: {}}", "group": "groups: {g: {mem_limit: 48m}}"}[where]
    text = (f"name: demo\nx-shoal: {{pool: 0, {limits}}}\nservices:\n" +
            GATE + "    oom_score_adj: -900\n" + # it may be in the same budget
            service("a", extra="    scale: 2\n    x-shoal: {warm: 2, group: g}\n" + AFTER) +
            service("filler", "while [ ! -e /fill ]; do sleep 0.02; done; dd if=/dev/zero of=/dev/shm/x bs=64k count=2000; sleep 1000", "    x-shoal: {group: g}\n"))
    started = fleet(text, "--interval", "100ms")
    started.wait_record("fleet", check=lambda r: r["parked"] == 2, timeout=60)
    assert score(started.process.pid) == -1000
    started.inside("demo-filler-1", "touch", "/fill")
    died = started.wait_event("die", container="demo-filler-1", timeout=60)
    assert died["cause"] == "oom"
    started.inside("demo-gate-1", "touch", "/open")
    started.wait_event("start", service="a", count=2, timeout=60)
    for n in (1, 2):
        assert said(started, f"demo-a-{n}") == "0"
        assert score(started.pid_of(f"demo-a-{n}")) == 0
    started.stop()
