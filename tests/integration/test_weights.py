"""Weights of block devices, limits of huge pages, RDMA devices and misc resources: what this host has, and what it lacks."""
import os
import re
import subprocess

import pytest

import shoal
from test_reload import message, rewrite
from test_resources import HEAD, read, service

pytestmark = pytest.mark.needs_controllers
DISK = next((d for d in sorted(os.listdir("/sys/block"), reverse=True) if re.fullmatch("vd[a-z]", d)), None)
needs_disk = pytest.mark.skipif(DISK is None, reason="no virtio disk on this machine")


def number():
    about = os.stat(f"/dev/{DISK}").st_rdev
    return f"{os.major(about)}:{os.minor(about)}"


@pytest.fixture
def cost():
    """io.cost is switched on for the disk."""
    path = os.path.join(shoal.cgroup_mount(), "io.cost.qos")
    with open(path, "w") as out:
        out.write(f"{number()} enable=1")
    yield
    with open(path, "w") as out:
        out.write(f"{number()} enable=0")


@pytest.fixture
def bfq():
    """bfq is the disk's scheduler."""
    subprocess.run(["modprobe", "bfq"], check=True)
    path = f"/sys/block/{DISK}/queue/scheduler"
    before = re.search(r"\[(.*)\]", open(path).read()).group(1)
    with open(path, "w") as out:
        out.write("bfq")
    yield
    with open(path, "w") as out:
        out.write(before)


def lines(started, container, file):
    return read(started, container, file).split("\n")


@needs_disk
def test_weights_of_io_cost(fleet, cost):
    device = f"weight_device: [{{path: /dev/{DISK}, weight: 1000}}]"
    started = fleet(HEAD + service("a", "sleep 1000", f"    blkio_config: {{weight: 500, {device}}}\n") + service("b", "sleep 1000"),
                    "--interval", "300ms")
    started.wait_event("start", count=2)
    assert lines(started, "demo-a-1", "io.weight") == ["default 4950", f"{number()} 10000"]
    said = started.wait_record("container", container="demo-a-1", state="running")["limits"]
    assert said["io.weight"] == "default 4950" and said[f"io.weight {number()}"] == "10000"
    assert lines(started, "demo-b-1", "io.weight") == ["default 100"]
    assert not [line for line in started.messages if "no effect" in line]
    rewrite(started, HEAD + service("a", "sleep 1000", "    blkio_config: {weight: 10}\n") +
            service("b", "sleep 1000", f"    blkio_config: {{{device.replace('1000', '100')}}}\n"))
    message(started, "reloaded: 2 containers changed, 0 failed")
    assert lines(started, "demo-a-1", "io.weight") == ["default 1"]
    assert lines(started, "demo-b-1", "io.weight") == ["default 100", f"{number()} 910"]
    changes = {u["container"]: u["changes"] for u in started.events("update")}
    assert changes["demo-a-1"] == {"io.weight": {"from": "default 4950", "to": "default 1"},
                                   f"io.weight {number()}": {"from": "10000", "to": "default"}}
    started.stop()


@needs_disk
def test_weights_of_bfq(fleet, bfq):
    text = HEAD + service("a", "sleep 1000", f"    blkio_config: {{weight: 500, weight_device: [{{path: '{number()}', weight: 77}}]}}\n")
    started = fleet(text)
    started.wait_event("start")
    assert lines(started, "demo-a-1", "io.bfq.weight") == ["default 500", f"{number()} 77"]
    rewrite(started, HEAD + service("a", "sleep 1000"))
    message(started, "reloaded: 1 containers changed, 0 failed")
    assert lines(started, "demo-a-1", "io.bfq.weight") == ["default 100"]
    started.stop()


@needs_disk
def test_a_weight_in_groups_and_profiles(fleet, cost):
    text = ("name: demo\nx-shoal:\n  groups: {g: {blkio_config: {weight: 200}}}\n  budget: {blkio_config: {weight: 300}}\n"
            "  profiles: {p: {blkio_config: {weight: 400}}}\nservices:\n")
    started = fleet(text + service("a", "sleep 1000", "    x-shoal: {group: g, profile: p}\n"))
    started.wait_event("start")
    own = started.cgroup_of("demo-a-1")
    values = [open(f"{path}/io.weight").read().strip() for path in (own, os.path.dirname(own), os.path.dirname(os.path.dirname(own)))]
    assert values == ["default 3940", "default 1920", "default 2930"]
    started.stop()


@needs_disk
def test_a_weight_that_nobody_heeds(fleet):
    """The default's file is there, but nothing stands behind it; a device's is not taken at all."""
    started = fleet(HEAD + service("a", "sleep 1000", "    blkio_config: {weight: 500}\n"))
    line = message(started, "blkio_config.weight: has no effect now: a weight is heeded with io.cost switched on")
    assert re.search(r"compose.yaml:\d+:\d+: services.a", line), line
    started.wait_event("start")
    started.stop()
    device = f"    blkio_config: {{weight_device: [{{path: /dev/{DISK}, weight: 500}}]}}\n"
    started = fleet(HEAD + service("a", "sleep 1000", device))
    line = message(started, f"services.a.blkio_config.weight_device: a weight is heeded with")
    assert f"/dev/{DISK} is no such device" in line and re.search(r"compose.yaml:\d+:\d+: ", line), line
    assert started.wait().returncode == 2 and started.events("start") == []
    started = fleet("x-shoal: {degrade: true}\n" + HEAD + service("a", "sleep 1000", device))
    message(started, "blkio_config.weight_device: not carried out: ")
    started.wait_event("start")
    started.stop()


def huge_sizes():
    def name(kib):
        return f"{kib >> 20}GB" if kib >= 1 << 20 else f"{kib >> 10}MB" if kib >= 1 << 10 else f"{kib}KB"
    return [name(int(re.search(r"\d+", d).group(0))) for d in os.listdir("/sys/kernel/mm/hugepages")]


@pytest.mark.skipif("hugetlb" not in shoal.controllers() or "2MB" not in huge_sizes(), reason="no huge pages of 2 MB")
def test_huge_pages(fleet):
    text = "name: demo\nx-shoal: {groups: {g: {x-shoal: {hugetlb: {2MB: 128m}}}}}\nservices:\n"
    started = fleet(text + service("a", "sleep 1000", "    x-shoal: {group: g, hugetlb: {2MB: 64m}}\n"))
    started.wait_event("start")
    files = ("hugetlb.2MB.max", "hugetlb.2MB.rsvd.max")
    assert [read(started, "demo-a-1", file) for file in files] == [str(64 << 20)] * 2
    group = os.path.dirname(started.cgroup_of("demo-a-1"))
    assert [open(f"{group}/{file}").read().strip() for file in files] == [str(128 << 20)] * 2
    rewrite(started, text + service("a", "sleep 1000", "    x-shoal: {group: g, hugetlb: {2MB: 0}}\n"))
    message(started, "reloaded: 1 containers changed, 0 failed")
    assert [read(started, "demo-a-1", file) for file in files] == ["0", "0"]
    started.stop()


@pytest.mark.skipif("hugetlb" not in shoal.controllers() or "2MB" not in huge_sizes(), reason="no huge pages of 2 MB")
def test_huge_pages_for_the_first_time_while_it_runs(fleet):
    """The controller is switched on for directories that are there."""
    text = "name: demo\nx-shoal: {groups: {g/h: {}}}\nservices:\n"
    started = fleet(text + service("a", "sleep 1000", "    x-shoal: {group: g/h}\n"))
    started.wait_event("start")
    assert "hugetlb" not in read(started, "demo-a-1", "cgroup.controllers")
    rewrite(started, text + service("a", "sleep 1000", "    x-shoal: {group: g/h, hugetlb: {2MB: 64m}}\n"))
    message(started, "reloaded: 1 containers changed, 0 failed")
    assert read(started, "demo-a-1", "hugetlb.2MB.max") == str(64 << 20)
    started.stop()


@pytest.mark.parametrize("key, controller, words", [
    ("hugetlb: {4MB: 64m}", "hugetlb", r"x-shoal.hugetlb.4MB: this host has no huge pages of that size; it has .*2MB"),
    ("rdma: {nosuch0: {hca_handle: 3}}", "rdma", "x-shoal.rdma.nosuch0: this host has no RDMA device of that name"),
    ("misc: {nosuch: 3}", "misc", "x-shoal.misc.nosuch: this host has no misc resource of that name"),
], ids=["hugetlb", "rdma", "misc"])
@pytest.mark.parametrize("verb", ["up", "preflight"])
def test_a_name_that_this_host_has_not(fleet_folder, verb, key, controller, words):
    if controller not in shoal.controllers():
        pytest.skip(f"no {controller} controller")
    file = fleet_folder / "fleet.yaml"
    file.write_text(f"name: demo\nx-shoal: {{groups: {{g: {{x-shoal: {{{key}}}}}}}}}\nservices:\n" +
                    service("a", "sleep 1000", f"    x-shoal: {{{key}}}\n"))
    ran = shoal.run(verb, "-f", file, "--run", fleet_folder / "run", "--root", fleet_folder / "root")
    assert ran.returncode == 2, ran.stderr
    for where in (r"fleet.yaml:2:\d+: x-shoal.groups.g.", r"fleet.yaml:\d+:\d+: services.a."):
        assert re.search(where + words, ran.stderr), ran.stderr


@pytest.mark.parametrize("extra, words", [
    ("    cpus: 4000\n", r"services.a.cpus: 4000.00 CPUs are more than this host has; it goes from 0.01 to \d+"),
    ("    deploy: {resources: {limits: {cpus: '4000'}}}\n", r"services.a.deploy.resources.limits.cpus: 4000.00 CPUs are more"),
    ("    cpuset: 0,4000\n", r'services.a.cpuset: "0,4000" names CPUs that are not there; this host has 0'),
    ("    x-shoal: {cpuset_mems: '63'}\n", r'services.a.x-shoal.cpuset_mems: "63" names nodes of memory that are not there; this host has 0'),
], ids=["cpus", "deploy", "cpuset", "cpuset_mems"])
def test_more_than_the_host_has(fleet_folder, extra, words):
    file = fleet_folder / "fleet.yaml"
    file.write_text(HEAD + service("a", "sleep 1000", extra))
    for verb in ("up", "preflight"):
        ran = shoal.run(verb, "-f", file, "--run", fleet_folder / "run", "--root", fleet_folder / "root")
        assert ran.returncode == 2 and re.search(r"fleet.yaml:\d+:\d+: " + words, ran.stderr), ran.stderr


def test_limits_are_metrics(fleet):
    """Also after a change of them, without anything being read for it."""
    metrics = pytest.importorskip("test_openmetrics")
    started, connect = metrics.serve(fleet, text=HEAD + service("a", "sleep 1000", "    cpus: 0.5\n    cpu_shares: 512\n") +
                                     service("b", "sleep 1000", "    deploy: {replicas: 2}\n"))

    def values():
        with connect() as client:
            found = metrics.families(metrics.ask(client, "Accept: application/openmetrics-text;version=1.0.0\r\n")[2])
        return {family: value for family, rows in found.items() if "_spec_" in family or family.startswith("shoal_container_cpu_burst")
                for labels, value in rows.items() if ("name", "demo-a-1") in labels}
    assert values() == {"container_spec_cpu_quota": 50000, "container_spec_cpu_period": 100000,
                        "container_spec_cpu_shares": 2 + 19 * 262142 // 9999}
    rewrite(started, HEAD + service("a", "sleep 1000", "    mem_limit: 64m\n    memswap_limit: 96m\n    mem_reservation: 32m\n"
                                    "    cpu_quota: 40000\n    cpu_period: 80000\n    x-shoal: {cpu_burst: 10ms}\n") +
            service("b", "sleep 1000", "    deploy: {replicas: 2}\n"))
    message(started, "reloaded: 1 containers changed, 0 failed")
    shoal.wait_for(lambda: values() == {
        "container_spec_cpu_quota": 40000, "container_spec_cpu_period": 80000, "shoal_container_cpu_burst_seconds": 0.01,
        "container_spec_memory_limit_bytes": 64 << 20, "container_spec_memory_swap_limit_bytes": 32 << 20,
        "container_spec_memory_reservation_limit_bytes": 32 << 20}, what=lambda: f"the new limits; {values()}")
    started.stop()


def test_quota_and_period(fleet):
    text = HEAD + service("a", "sleep 1000", "    cpu_quota: 30000\n    cpu_period: 60000\n    x-shoal: {cpu_burst: 10ms}\n")
    started = fleet(text + service("b", "sleep 1000", "    cpu_quota: -1\n    cpu_period: 50000\n"))
    started.wait_event("start", count=2)
    assert read(started, "demo-a-1", "cpu.max") == "30000 60000" and read(started, "demo-a-1", "cpu.max.burst") == "10000"
    assert read(started, "demo-b-1", "cpu.max") == "max 50000"
    rewrite(started, HEAD + service("a", "sleep 1000", "    cpu_quota: 20000\n") + service("b", "sleep 1000"))
    message(started, "reloaded: 2 containers changed, 0 failed")
    assert read(started, "demo-a-1", "cpu.max") == "20000 100000" and read(started, "demo-a-1", "cpu.max.burst") == "0"
    assert read(started, "demo-b-1", "cpu.max") == "max 100000"
    started.stop()
