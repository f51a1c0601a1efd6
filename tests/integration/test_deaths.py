"""Ways to die: each has its cause, who did it where that is certain, and a sentence that says so. What needs no controller runs
here, the rest in the guest."""
import datetime
import json
import os
import platform
import signal
import struct
import time

import pytest

import shoal

HEAD = "name: demo\nx-shoal: {degrade: true}\nservices:\n"
needs_controllers = pytest.mark.needs_controllers
EATER = "x=a; while :; do x=$x$x; done"


def service(script, extra="", name="a"):
    quoted = script.replace("'", "''").replace("$", "$$")
    return (f"{HEAD}  {name}:\n    image: builtin:busybox\n    network_mode: none\n    command: [sh, -c, '{quoted}']\n{extra}")


def ready(started, container="demo-a-1"):
    shoal.wait_for(lambda: started.log_records(container), what="its first line")


def told(died):
    """What tells the ways apart."""
    return died["cause"], died["exitCode"], died.get("signal"), died.get("by")


def elf(folder, name, code, machine):
    """A static program of a few bytes."""
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, machine, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = 120 + len(code)
    path = os.path.join(folder, name)
    with open(path, "wb") as out:
        out.write(head + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 4096) + code)
    os.chmod(path, 0o755)
    return path


def program(path):
    return (f"{HEAD}  a:\n    image: builtin:busybox\n    network_mode: none\n    command: [/program]\n"
            f"    volumes: ['{path}:/program:ro']\n")


# ---- by itself

def test_exit(fleet):
    died = fleet(service("echo one; echo two >&2; exit 3")).wait().events("die")[0]
    assert told(died) == ("exit", 3, None, None), died
    assert died["why"] == "exited with 3"
    assert sorted(died["output"]) == ["one", "two"]
    assert died["restart"] == "no" and died["restart_reason"] == "restart is no"
    assert died["wall_usec"] > 0 and died["usage_usec"] > 0


@pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code of x86-64")
def test_a_fault_of_its_own(fleet, fleet_folder):
    store_at_null = b"\x31\xc0\x89\x00"
    died = fleet(program(elf(fleet_folder, "segv", store_at_null, 62))).wait().events("die")[0]
    assert told(died) == ("signal", 139, "SIGSEGV", "self")
    assert died["why"] == "ended by SIGSEGV, a fault of its own"


def test_its_own_sigkill(fleet):
    """Only below an init can that be: a first process cannot be killed from inside. The host could have done it just so."""
    died = fleet(service("kill -9 $$", "    init: true\n")).wait().events("die")[0]
    assert told(died) == ("signal", 137, "SIGKILL", None)
    assert died["why"] == "its command was ended by SIGKILL, from a process inside or on the host"


def test_an_exit_that_looks_like_a_signal(fleet):
    """137 is what an init says of a SIGKILL, too."""
    died = fleet(service("exit 137", "    init: true\n")).wait().events("die")[0]
    assert told(died) == ("exit", 137, None, None)


@pytest.mark.parametrize("init", ["true", "false"])
def test_kill_from_the_host(fleet, init):
    started = fleet(service("echo ready; sleep 1000", f"    init: {init}\n"))
    ready(started)
    os.kill(started.pid_of("demo-a-1"), signal.SIGKILL)
    died = started.wait().events("die")[0]
    assert told(died) == ("signal", 137, "SIGKILL", "host")
    assert "from outside" in died["why"]


# ---- by us

def test_stop_within_grace(fleet):
    started = fleet(service("trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"))
    ready(started)
    died = started.stop().events("die")[0]
    assert told(died) == ("stop", 5, None, "supervisor")
    assert "after SIGTERM" in died["why"] and died["restart_reason"] == "the fleet is taken down"


def test_stop_beyond_grace(fleet):
    started = fleet(service("trap : TERM; echo ready; while :; do sleep 0.05; done", "    stop_grace_period: 300ms\n"))
    ready(started)
    died = started.stop().events("die")[0]
    assert told(died) == ("stop-timeout", 137, "SIGKILL", "supervisor")
    assert died["why"] == "did not end within 300 ms of SIGTERM: killed"


# ---- before it began

def test_a_missing_program(fleet):
    died = fleet(f"{HEAD}  a: {{image: 'builtin:busybox', network_mode: none, command: [/nothere]}}\n").wait().events("die")[0]
    assert told(died) == ("failed", 127, None, None)
    assert "No such file" in died["error"] and died["restart_reason"] == "restart is no"


def test_a_program_of_another_machine(fleet, fleet_folder):
    died = fleet(program(elf(fleet_folder, "foreign", b"\0\0\0\0", 22))).wait().events("die")[0]
    assert told(died) == ("failed", 126, None, None)
    assert "Exec format error" in died["error"]


# ---- for lack of something

@needs_controllers
def test_own_memory_limit(fleet):
    result = fleet(service(EATER, "    mem_limit: 24m\n    memswap_limit: 24m\n")).wait()
    died = result.events("die")[0]
    assert told(died) == ("oom", 137, "SIGKILL", "kernel")
    assert died["oom"]["level"] == "own" and died["oom"]["limit"] == 24 << 20 and died["oom"]["peak"] > 12 << 20
    assert died["oom"]["victim"]["comm"] in ("sh", "busybox") and died["oom"]["victim"]["pid"] > 1
    oom = result.events("oom")[0]
    assert (oom["level"], oom["partial"], oom["victim"]) == ("own", False, died["oom"]["victim"])
    assert "its own limit of 24.0 MiB was hit; the kernel killed " in died["why"]


def project_of(started, container):
    return os.path.dirname(started.cgroup_of(container))


@needs_controllers
def test_memory_limit_of_the_project(fleet):
    text = HEAD + "".join(f"  {name}: {{image: 'builtin:busybox', network_mode: none, command: {command}}}\n" for name, command in
                          (("a", f"[sh, -c, 'echo ready; read x < /go; {EATER.replace('$', '$$')}']"), ("b", "[sleep, '1000']")))
    started = fleet(text.replace("read x < /go", "mkfifo /go; read x < /go"))
    ready(started)
    started.wait_event("start", container="demo-b-1")
    for file, value in (("memory.swap.max", "0"), ("memory.max", str(32 << 20))):
        path = os.path.join(project_of(started, "demo-a-1"), file)
        if os.path.exists(path):
            with open(path, "w") as out:
                out.write(value)
    started.inside("demo-a-1", "sh", "-c", "echo > /go")
    died = started.wait_event("die", container="demo-a-1", timeout=30)
    assert told(died) == ("oom", 137, "SIGKILL", "kernel")
    assert (died["oom"]["level"], died["oom"]["limit"]) == ("project", 32 << 20)
    assert died["oom"]["cgroup"].endswith("/shoal/demo")
    assert not started.events("die", container="demo-b-1")
    started.stop()


@needs_controllers
def test_memory_limit_of_the_group(fleet):
    text = service(EATER, "    x-shoal: {group: tenants}\n").replace("degrade: true", "degrade: true, groups: {tenants: {mem_limit: 32m}}")
    result = fleet(text).wait()
    died = result.events("die")[0]
    assert told(died) == ("oom", 137, "SIGKILL", "kernel")
    assert (died["oom"]["level"], died["oom"]["limit"]) == ("group", 32 << 20)
    assert died["oom"]["cgroup"].endswith("/shoal/demo/tenants") and "the limit of its group" in died["why"]


def limits(oom, init):
    return f"    mem_limit: 24m\n    memswap_limit: 24m\n    init: {init}\n    x-shoal: {{oom: {oom}}}\n"


@needs_controllers
@pytest.mark.parametrize("init", ["true", "false"])
def test_a_child_alone_dies_for_memory(fleet, init):
    script = f"mkfifo /go; echo ready $$; read x < /go; sh -c '{EATER}'; echo survived; while :; do sleep 0.05; done"
    started = fleet(service(script, limits("process", init)))
    ready(started)
    command = int(started.log_records("demo-a-1")[0]["log"].split()[1])
    assert command == (2 if init == "true" else 1)
    started.inside("demo-a-1", "sh", "-c", "echo > /go")
    oom = started.wait_event("oom", timeout=30)
    assert oom["partial"] is True and oom["level"] == "own" and oom["victim"]["pid"] != started.pid_of("demo-a-1")
    shoal.wait_for(lambda: any("survived" in r["log"] for r in started.log_records("demo-a-1")), what="its going on")
    os.kill(started.pid_of("demo-a-1"), signal.SIGTERM)  # dropped; what follows is no OOM's doing
    died = started.stop().events("die")[0]
    assert died["cause"] in ("stop", "stop-timeout") and "oom" not in died


@needs_controllers
@pytest.mark.parametrize("init", ["true", "false"])
def test_the_command_alone_is_chosen(fleet, init):
    """What it leaves behind is killed with it, by another hand than the kernel's."""
    result = fleet(service(f"sleep 1000 & {EATER}", limits("process", init))).wait(timeout=60)
    died, oom = result.events("die")[0], result.events("oom")[0]
    assert told(died) == ("oom", 137, "SIGKILL", "kernel")
    assert oom["partial"] is False and died["oom"]["victim"] == oom["victim"] and oom["victim"]["comm"] in ("sh", "busybox")
    assert "and all that was left in it" not in died["why"]


@needs_controllers
@pytest.mark.parametrize("init", ["true", "false"])
def test_all_of_it_is_killed_for_memory(fleet, init):
    result = fleet(service(f"sleep 1000 & sh -c '{EATER}'; echo survived", limits("group", init))).wait(timeout=60)
    died, oom = result.events("die")[0], result.events("oom")[0]
    assert told(died) == ("oom", 137, "SIGKILL", "kernel")
    assert oom["partial"] is False and "output" not in died
    assert "and all that was left in it" in died["why"]


class KernelLog:
    """What the kernel has logged since, with the time of day."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDWR | os.O_NONBLOCK)
        os.lseek(self.fd, 0, os.SEEK_END)
        before = time.time()
        os.write(self.fd, b"a mark of the tests\n")  # its time is taken first; then a slow console may print it
        self.begin = before - self.find("a mark of the tests")

    def read(self):
        try:
            return os.read(self.fd, 8192).decode(errors="replace")
        except BlockingIOError:
            return None

    def find(self, words):
        while True:
            record = shoal.wait_for(self.read, what=f"'{words}' in the kernel's log")
            if words in record:
                return int(record.split(",")[2]) / 1e6

    def time_of(self, words):
        return self.begin + self.find(words)


@needs_controllers
@pytest.mark.parametrize("oom", ["group", "process"])
def test_an_oom_is_told_within_50_ms(fleet, oom):
    log = KernelLog()
    result = fleet(service(EATER, limits(oom, "false"))).wait(timeout=60)
    seen = result.events("oom")[0]
    told_at = datetime.datetime.fromisoformat(seen["time"].replace("Z", "+00:00")).timestamp()
    killed_at = log.time_of(f"Killed process {seen['victim']['pid']} ")
    os.close(log.fd)
    assert -0.005 < told_at - killed_at <= 0.05 * shoal.SCALE, (told_at, killed_at)


@needs_controllers
def test_pids_exhausted(fleet):
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; exit 2"
    result = fleet(service(script, "    pids_limit: 4\n")).wait()
    died = result.events("die")[0]
    assert told(died) == ("exit", 2, None, None)
    assert died["pids_refused"] >= 1 and "pids.max (4) had refused it a task" in died["why"]
    assert result.events("limit")


# ---- what stands in it

@needs_controllers
def test_a_certificate_is_complete(fleet):
    script = "dd if=/dev/zero of=/f bs=64k count=16 conv=fsync; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exit 4"
    died = fleet(service(script, "    cpus: 0.3\n    mem_limit: 64m\n")).wait(timeout=60).events("die")[0]
    assert died["io"].keys() == {"rbytes", "wbytes", "rios", "wios"}
    assert 0 < died["throttled_share"] <= 1
    assert died["pressure"]["cpu"]["some_total"] > 0
    assert died["pids_refused"] == 0 and died["peak"] > 0


def test_the_last_ten_lines(fleet):
    died = fleet(service("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; printf end")).wait(timeout=60).events("die")[0]
    assert died["output"] == [f"line {i}" for i in range(4991, 5000)] + ["end"]


def test_a_flood_without_lines_is_cut(fleet):
    died = fleet(service("dd if=/dev/zero bs=1k count=9 2>/dev/null | tr '\\0' x")).wait().events("die")[0]
    assert died["output"] == ["x" * 2048]


def test_the_decision_on_its_restart(fleet):
    text = service("exit 1", "    restart: on-failure:2\n    x-shoal: {restart: {backoff: 10ms, jitter: 0}}\n")
    deaths = fleet(text).wait().events("die")
    assert [(d["restart"], d.get("delay_usec")) for d in deaths] == [("backoff", 10000), ("backoff", 20000), ("no", None)]
    assert deaths[0]["restart_reason"] == "restart is on-failure"
    assert "as often as its policy says" in deaths[2]["restart_reason"]


def test_network_totals_of_a_short_life(fleet):
    """No round of samples has seen it. A link in a namespace of the stock stays to be asked; another may be gone by then."""
    text = service("nc -w 1 10.77.0.1 9; exit 1", "    restart: always\n    x-shoal: {restart: {backoff: 1ms, factor: 1}}\n")
    text = text.replace("    network_mode: none\n", "") + "networks: {default: {ipam: {config: [{subnet: 10.77.0.0/24}]}}}\n"
    started = fleet(text, "--interval", "1h")
    died = started.wait_record("event", timeout=30, check=lambda r: r["event"] == "die" and "net" in r)
    assert died["net"]["tx_packets"] >= 1 and died["net"]["tx_bytes"] > 0
    started.stop()


# ---- kept on disk

def deaths(started, *arguments):
    return shoal.run("deaths", "--root", started.root, *arguments)


def kept(started, *arguments):
    shown = deaths(started, "--format", "json", *arguments)
    assert (shown.returncode, shown.stderr) == (0, "")
    return [json.loads(line) for line in shown.stdout.splitlines()]


TWO = (HEAD + "  a: {image: 'builtin:busybox', network_mode: none, command: [sh, -c, 'echo a; exit 1'], scale: 2}\n"
       "  b: {image: 'builtin:busybox', network_mode: none, command: [sh, -c, 'printf \"\\033[2Jb\"; exit 2']}\n")


def test_kept_certificates_are_those_of_the_stream(fleet):
    started = fleet(TWO, "--metrics", "ndjson")
    said = started.wait().events("die")
    assert sorted(kept(started), key=lambda r: r["seq"]) == sorted(said, key=lambda r: r["seq"])
    assert {r["container"] for r in kept(started, "a")} == {"demo-a-1", "demo-a-2"}
    assert [r["container"] for r in kept(started, "demo-b-1")] == ["demo-b-1"]
    assert kept(started, "-p", "other") == [] and kept(started, "nobody") == []
    assert len(kept(started, "-p", "demo")) == 3


def test_certificates_for_a_person(fleet):
    started = fleet(TWO, "--metrics", "off")
    started.wait()
    lines = deaths(started, "demo-a-1", "demo-b-1").stdout.splitlines()
    heads = [line for line in lines if not line.startswith("    ")]
    assert sorted(line.partition("Z  ")[2] for line in heads) == ["demo-a-1  exit  exited with 1", "demo-b-1  exit  exited with 2"]
    assert "    not started again: restart is no" in lines and any(line.startswith("    ran ") for line in lines)
    assert "    | a" in lines and "    | ?[2Jb" in lines  # nothing of it reaches the terminal as it is
    assert deaths(started, "--format", "yaml").returncode == 2


def test_certificates_outlive_the_supervisor(fleet, fleet_folder):
    """Also a torn line, as a crash in the middle of a write leaves one."""
    text = service("exit 1")
    fleet(text, folder=str(fleet_folder)).wait()
    with open(os.path.join(fleet_folder, "root/deaths/demo/demo-a-1.ndjson"), "a") as out:
        out.write('{"time":"2026-')
    started = fleet(text, folder=str(fleet_folder))
    started.wait()
    assert [r["container"] for r in kept(started)] == ["demo-a-1"] * 2
    assert len({r["id"] for r in kept(started)}) == 2


def test_the_last_hundred_are_kept(fleet):
    text = service("exit 1", "    restart: on-failure:230\n    x-shoal: {restart: {backoff: 1ms, factor: 1, jitter: 0}}\n")
    started = fleet(text)
    said = started.wait(timeout=120).events("die")
    assert len(said) == 231
    assert [r["seq"] for r in kept(started)] == [r["seq"] for r in said[-100:]]
    with open(os.path.join(started.root, "deaths/demo/demo-a-1.ndjson")) as lines:
        assert 100 <= len(lines.readlines()) <= 200
    assert os.listdir(os.path.join(started.root, "deaths/demo")) == ["demo-a-1.ndjson"]


def test_a_disk_that_refuses_is_told_once(fleet, fleet_folder):
    os.makedirs(os.path.join(fleet_folder, "root"))
    with open(os.path.join(fleet_folder, "root/deaths"), "w"):
        pass
    started = fleet(service("exit 1", "    restart: on-failure:3\n    x-shoal: {restart: {backoff: 1ms}}\n"), folder=str(fleet_folder))
    result = started.wait()
    assert result.returncode == 0 and len(result.events("die")) == 4
    assert [m for m in result.messages if "deaths" in m] == \
        [f"shoal: warning: {fleet_folder}/root/deaths/demo/demo-a-1.ndjson: write: Not a directory"]
    assert deaths(started).returncode == 1
