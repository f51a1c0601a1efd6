"""The fixtures themselves: a leak that they would not see is a leak in every other test."""
import os
import signal
import subprocess

import pytest

import machine
import shoal


def changes(before):
    return machine.differences(before, machine.snapshot())


def test_nothing_changes_by_itself():
    before = machine.snapshot()
    assert changes(before) == []


def test_a_process_is_seen_even_when_its_parent_has_ended():
    before = machine.snapshot()
    shell = subprocess.run(["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"], stdout=subprocess.PIPE, text=True, check=True)
    pid = int(shell.stdout)
    try:
        assert any(line.startswith(f"process left: {pid} sleep") for line in changes(before))
    finally:
        os.kill(pid, signal.SIGKILL)
    shoal.wait_for(lambda: changes(before) == [], 5, "the process gone")


def test_a_mount_is_seen(tmp_path):
    before = machine.snapshot()
    subprocess.run(["mount", "-t", "tmpfs", "leak", tmp_path], check=True)
    try:
        assert [line for line in changes(before) if line.startswith("mount left") and str(tmp_path) in line]
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert changes(before) == []


def test_a_link_and_a_table_are_seen():
    before = machine.snapshot()
    subprocess.run(["ip", "link", "add", "leak0", "type", "bridge"], check=True)
    subprocess.run(["nft", "add", "table", "ip", "leak"], check=True)
    try:
        found = changes(before)
        assert any(line.startswith("link left") and "leak0" in line for line in found)
        assert any(line.startswith("nft table left: table ip leak") for line in found)
    finally:
        subprocess.run(["ip", "link", "del", "leak0"], check=True)
        subprocess.run(["nft", "delete", "table", "ip", "leak"], check=True)
    assert changes(before) == []


def test_a_cgroup_is_seen():
    top = os.path.join(shoal.cgroup_mount() or pytest.skip("no cgroup v2 here"), "shoal")
    before = machine.snapshot()
    made = [path for path in (top, os.path.join(top, "leak")) if not os.path.isdir(path)]
    for path in made:
        os.mkdir(path)
    try:
        assert any(line.startswith("cgroup left") and line.endswith("/shoal/leak") for line in changes(before))
    finally:
        for path in reversed(made):
            os.rmdir(path)
    assert changes(before) == []


# A stand-in for the program: says what it is told to say, until SIGINT.
STAND_IN = """#!/bin/sh
trap 'echo "{\\"type\\":\\"event\\",\\"event\\":\\"stop\\",\\"container\\":\\"a-b-1\\"}"; exit 0' INT
echo '{"type":"event","event":"start","container":"a-b-1","pid":'$$'}'
echo 'a-b-1: warning' >&2
while :; do sleep 0.05; done
"""


@pytest.fixture
def stand_in(tmp_path):
    path = tmp_path / "stand-in"
    path.write_text(STAND_IN)
    path.chmod(0o755)
    return str(path)


def test_a_fleet_is_read_as_it_speaks(fleet, stand_in):
    one = fleet("services: {}\n", program=stand_in)
    start = one.wait_event("start", container="a-b-1")
    assert one.pid_of("a-b-1") == start["pid"] == one.process.pid
    assert one.wait_message("warn(ing)").group(1) == "ing"
    assert one.inside("a-b-1", "echo", "seen").stdout == "seen\n"
    result = one.stop()
    assert result.returncode == 0
    assert [e["event"] for e in result.events(container="a-b-1")] == ["start", "stop"]
    assert result.messages == ["a-b-1: warning"]


def test_waiting_ends_when_the_program_ends(fleet, stand_in):
    one = fleet("services: {}\n", program=stand_in)
    one.wait_event("start")
    one.send(signal.SIGKILL)
    with pytest.raises(AssertionError, match="shoal ended with -9"):
        one.wait_event("die", timeout=600)


@pytest.mark.needs_controllers
def test_every_controller_is_here():
    assert {"memory", "pids", "cpu", "io"} <= shoal.controllers()
