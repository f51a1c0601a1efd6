"""Limits and what the kernel says of them: with real controllers only."""
import os
import re

import pytest

import shoal

HEAD = "name: demo\nservices:\n"
pytestmark = pytest.mark.needs_controllers


def service(name, script, extra=""):
    quoted = script.replace("'", "''").replace("$", "$$")
    return (f"  {name}:\n    image: builtin:busybox\n    network_mode: none\n    command: [sh, -c, '{quoted}']\n{extra}")


def read(started, container, file):
    with open(os.path.join(started.cgroup_of(container), file)) as values:
        return values.read().strip()


def test_limits_are_written(fleet):
    extra = ("    mem_limit: 64m\n    memswap_limit: 96m\n    mem_reservation: 32m\n    cpus: 0.5\n    cpu_shares: 512\n"
             "    cpuset: '0'\n    pids_limit: 33\n")
    started = fleet(HEAD + service("a", "sleep 1000", extra))
    started.wait_event("start")
    assert read(started, "demo-a-1", "memory.max") == str(64 << 20)
    assert read(started, "demo-a-1", "memory.swap.max") == str(32 << 20)
    assert read(started, "demo-a-1", "memory.low") == str(32 << 20)
    assert read(started, "demo-a-1", "cpu.max") == "50000 100000"
    assert 10 <= int(read(started, "demo-a-1", "cpu.weight")) <= 60
    assert read(started, "demo-a-1", "cpuset.cpus") == "0"
    assert read(started, "demo-a-1", "pids.max") == "33"
    assert read(started, "demo-a-1", "memory.oom.group") == "1"
    started.stop()


def test_deploy_resources(fleet):
    extra = "    deploy: {resources: {limits: {cpus: '0.25', memory: 50M, pids: 20}, reservations: {memory: 20M}}}\n"
    started = fleet(HEAD + service("a", "sleep 1000", extra))
    started.wait_event("start")
    assert read(started, "demo-a-1", "cpu.max") == "25000 100000"
    assert read(started, "demo-a-1", "memory.max") == str(50 << 20)
    assert read(started, "demo-a-1", "pids.max") == "20"
    assert read(started, "demo-a-1", "memory.low") == str(20 << 20)
    started.stop()


def test_default_pids_limit(fleet):
    started = fleet(HEAD + service("a", "sleep 1000"))
    started.wait_event("start")
    assert read(started, "demo-a-1", "pids.max") == "4096"
    started.stop()


def test_out_of_memory_is_the_cause(fleet):
    script = "x=a; while :; do x=$x$x; done"
    started = fleet(HEAD + service("a", script, "    mem_limit: 24m\n    memswap_limit: 24m\n"))
    died = started.wait_event("die", timeout=30)
    assert (died["cause"], died["exitCode"], died["signal"]) == ("oom", 137, "SIGKILL")
    assert 12 << 20 < died["peak"] <= 24 << 20
    assert started.wait_event("oom")["count"] >= 1
    started.wait()


def test_pids_limit_is_seen(fleet):
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 & done; sleep 100"
    started = fleet(HEAD + service("a", script, "    pids_limit: 6\n"))
    assert started.wait_event("limit", container="demo-a-1")["count"] >= 1
    started.stop()


def test_cpu_limit_throttles(fleet):
    started = fleet(HEAD + service("a", "while :; do :; done", "    cpus: 0.1\n"), "--interval", "500ms")
    sample = started.wait_record("container", timeout=30, check=lambda r: r.get("cpu", {}).get("nr_throttled", 0) > 2)
    assert sample["cpu"]["throttled_usec"] > 0
    started.stop()


def test_io_limit_is_written(fleet, scratch_disk):
    extra = f"    blkio_config: {{device_write_bps: [{{path: {scratch_disk}, rate: 1mb}}], device_read_iops: [{{path: {scratch_disk}, rate: 77}}]}}\n"
    started = fleet(HEAD + service("a", "sleep 1000", extra))
    started.wait_event("start")
    limits = read(started, "demo-a-1", "io.max")
    assert "wbps=1048576" in limits and "riops=77" in limits
    started.stop()


def test_an_io_limit_by_number(fleet, scratch_disk):
    about = os.stat(scratch_disk).st_rdev
    number = f"{os.major(about)}:{os.minor(about)}"
    started = fleet(HEAD + service("a", "sleep 1000", f"    blkio_config: {{device_write_bps: [{{path: '{number}', rate: 1mb}}]}}\n"))
    started.wait_event("start")
    assert f"{number} rbps=max wbps=1048576" in read(started, "demo-a-1", "io.max")
    started.stop()


@pytest.mark.parametrize("path, words", [("/dev/nosuch", "No such file or directory"), ("/dev/null", "is no block device"),
                                         ("999:9", "this host has no block device 999:9")])
def test_a_device_that_is_none_is_refused(fleet, path, words):
    started = fleet(HEAD + service("a", "sleep 1000", f"    blkio_config: {{device_write_bps: [{{path: '{path}', rate: 1mb}}]}}\n"))
    line = started.wait_message(r".*blkio_config.*").group(0)
    assert path in line and words in line and re.search(r"compose.yaml:\d+:\d+: ", line), line
    result = started.wait()
    assert result.returncode == 2 and result.events("start") == []


@pytest.fixture
def scratch_disk():
    disks = [d for d in sorted(os.listdir("/sys/block")) if re.fullmatch("vd[a-z]", d)]
    if not disks:
        pytest.skip("no virtio disk on this machine")
    return "/dev/" + disks[-1]


def test_samples_carry_every_counter(fleet):
    started = fleet(HEAD + service("a", "dd if=/dev/zero of=/file bs=1M count=8 conv=fsync; sleep 1000", "    mem_limit: 64m\n"),
                    "--interval", "300ms")
    sample = started.wait_record("container", timeout=30, check=lambda r: r.get("memory", {}).get("file", 0) > 0)
    assert sample["memory"]["max"] == 64 << 20 and sample["memory"]["current"] > 0 and sample["memory"]["peak"] > 0
    assert set(sample["memory"]["events"]) == {"low", "high", "max", "oom", "oom_kill", "oom_group_kill"}
    assert sample["pids"]["current"] >= 1 and sample["pids"]["max"] == 4096
    for resource in ("cpu", "memory", "io"):
        assert sample["pressure"][resource]["some_total"] >= 0
    assert shoal.controllers() >= {"memory", "pids", "cpu", "io"}
    started.stop()


def test_a_queue_that_overflows_loses_nothing(fleet):
    """Of more events than inotify keeps, the rest is read anew."""
    path = "/proc/sys/fs/inotify/max_queued_events"
    with open(path) as text:
        before = text.read()
    try:
        with open(path, "w") as out:
            out.write("1")
        script = "mkfifo /go; echo ready; read x < /go; for i in 1 2 3 4 5 6 7 8; do sleep 100 & done; sleep 100"
        started = fleet(HEAD + service("a", script, "    pids_limit: 4\n    scale: 6\n"))
        names = [f"demo-a-{n}" for n in range(1, 7)]
        for name in names:
            shoal.wait_for(lambda name=name: started.log_records(name), what="ready")
        os.kill(started.process.pid, 19)  # SIGSTOP: it reads nothing while all of them are refused
        try:
            for name in names:
                with open(f"/proc/{started.pid_of(name)}/root/go", "w") as out:
                    out.write("go\n")
            for name in names:
                shoal.wait_for(lambda name=name: "max 0" not in read(started, name, "pids.events"), what="a refusal")
        finally:
            os.kill(started.process.pid, 18)
        for name in names:
            started.wait_event("limit", container=name)
        started.stop()
    finally:
        with open(path, "w") as out:
            out.write(before)


def test_limits_of_x_shoal_are_written(fleet):
    extra = ("    mem_limit: 64m\n    cpus: 0.5\n    x-shoal: {memory_high: 48m, oom: process, cpu_weight: 250, cpu_burst: 20ms, cpuset_mems: '0'}\n")
    started = fleet(HEAD + service("a", "sleep 1000", extra) + service("b", "sleep 1000", "    x-shoal: {cpu_idle: true}\n"))
    started.wait_event("start", count=2)
    wanted = {"memory.high": str(48 << 20), "memory.oom.group": "0", "cpu.weight": "250", "cpu.max.burst": "20000",
              "cpuset.mems": "0"}
    assert {file: read(started, "demo-a-1", file) for file in wanted} == wanted
    assert read(started, "demo-b-1", "cpu.idle") == "1"
    started.stop()
