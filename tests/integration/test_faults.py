"""Every step of a start fails once, by injection, and leaves the machine as it was. The fixture compares processes, mounts,
links, rules, cgroups and files after each fleet; here also the words are looked at."""
import os
import re

import pytest

import disk
import shoal
from disk import quota_folder  # noqa: F401 -- a fixture

TEXT = """\
name: demo
x-shoal: {degrade: true}
services:
  web:
    image: builtin:busybox
    command: [sleep, '1000']
    init: true
    user: '1000:1000'
    read_only: true
    tmpfs: /run
    working_dir: /srv
    volumes: ['kept:/kept']
    sysctls: {net.ipv4.tcp_keepalive_time: 77}
    ulimits: {nofile: 100}
    domainname: example.test
    cap_add: [NET_ADMIN]
    devices: ['/dev/full:/dev/more/full:r', '/dev/full:/opt/full']
volumes: {kept: }
"""

pytestmark = pytest.mark.skipif(not os.path.exists(shoal.FAULTS_BIN), reason="no test build: make faults")


def fail_at(fleet, where):
    started = fleet(TEXT, program=shoal.FAULTS_BIN, environ={"SHOAL_FAULT": where})
    died = started.wait_event("die", container="demo-web-1", timeout=20)
    if died["cause"] != "failed":
        return started.stop(), died
    return started.wait(), died


@pytest.mark.parametrize("stage", ["rootfs", "cgroup", "clone", "devices", "mount", "link", "exec"])
def test_stage(fleet, stage):
    result, died = fail_at(fleet, f"stage:{stage}")
    assert result.returncode == 1
    assert died["error"] == f"demo-web-1: {stage}: injected: Input/output error"
    assert [r["event"] for r in result.events(container="demo-web-1")] == ["create", "connect", "die", "disconnect", "destroy"]


@pytest.mark.parametrize("network", ["", "    network_mode: none\n"])
def test_the_childs_own_words_go_before_what_its_parent_sees(fleet, network):
    """A child that has failed is gone when its link is made, or when it is sent something: why it failed is what it said."""
    text = TEXT.replace("    init: true\n", "    init: true\n" + network)
    started = fleet(text, program=shoal.FAULTS_BIN, environ={"SHOAL_FAULT": "step:3,late"})
    died = started.wait_event("die", container="demo-web-1", timeout=20)
    assert re.fullmatch(r"demo-web-1: start: .+: Input/output error", died["error"]), died
    started.wait()


@pytest.mark.parametrize("via, point", [("tmpfs", "make"), ("tmpfs", "mount"), ("loop", "make"), ("loop", "attach"),
                                        ("loop", "mount"), ("quota", "project"), ("quota", "limit")])
def test_bounds_of_the_writable_layer(request, fleet, via, point):
    folder = request.getfixturevalue("quota_folder") if via == "quota" else None
    disk.need(via)
    text = TEXT.replace("    init: true\n", f"    init: true\n    x-shoal: {{disk: {{size: 4m, via: {via}}}}}\n")
    started = fleet(text, program=shoal.FAULTS_BIN, environ={"SHOAL_FAULT": f"point:disk-{point}"}, folder=folder)
    died = started.wait_event("die", container="demo-web-1", timeout=20)
    assert re.fullmatch(rf"demo-web-1: rootfs: /.+: x-shoal.disk via {via}: injected: Input/output error", died["error"])
    assert started.wait().returncode == 1
    disk.nothing_left(started)


@pytest.mark.parametrize("via", ["tmpfs", "loop"])
def test_attaching_the_writable_layer(fleet, via):
    """The child's own step: it is one of the first, before the overlay."""
    disk.need(via)
    text = TEXT.replace("    init: true\n", f"    init: true\n    x-shoal: {{disk: {{size: 4m, via: {via}}}}}\n")
    for step in range(20):
        started = fleet(text, program=shoal.FAULTS_BIN, environ={"SHOAL_FAULT": f"step:{step}"})
        died = started.wait_event("die", container="demo-web-1", timeout=20)
        assert started.wait().returncode == 1
        disk.nothing_left(started)
        if died["error"] == "demo-web-1: start: attach the writable layer: Input/output error":
            return
    raise AssertionError("no such step among the first")


def step_count(fleet):
    """How many steps the plan of TEXT has: the program says so when asked for one beyond the last."""
    started = fleet(TEXT, program=shoal.FAULTS_BIN, environ={"SHOAL_FAULT": "step:100000"})
    count = int(started.wait_message(r"the plan has (\d+) steps").group(1))
    started.wait_event("start")
    started.stop()
    return count


def test_every_step(fleet, request):
    """One test for all: a parametrised one would need the count before it can run the program."""
    count = step_count(fleet)
    assert count > 80
    words = set()
    clean = machine_checker(request)
    for step in range(count):
        result, died = fail_at(fleet, f"step:{step}")
        assert result.returncode == 1, (step, died)
        assert re.fullmatch(r"demo-web-1: start: .+: Input/output error", died["error"]), (step, died)
        assert not result.events("start"), step
        words.add(died["error"])
        clean(step)
    assert len(words) > 45  # the person reads which step it was


def machine_checker(request):
    import machine
    before = machine.snapshot()

    def check(step):
        found = []

        def is_clean():
            found[:] = machine.differences(before, machine.snapshot())
            return not found
        shoal.wait_for(is_clean, 10, lambda: f"the machine as it was before step {step}; " + "; ".join(found))
    assert request
    return check
