"""x-shoal.disk: what a writable layer may hold. Who writes more is told so inside; nobody else is."""
import os
import signal
import subprocess

import pytest

import disk
import shoal
from disk import quota_folder  # noqa: F401 -- a fixture
from test_reload import message, rewrite

MIB = 1 << 20
FULL = {"quota": "Disk quota exceeded", "loop": "No space left on device", "tmpfs": "No space left on device"}

TEXT = """\
name: demo
x-shoal: {{degrade: true}}
services:
  a: &a
    image: builtin:busybox
    network_mode: none
    command: [sleep, '1000']
    x-shoal: {{disk: {{size: {size}, inodes: {inodes}, via: {via}}}}}
  b: *a
"""


def text(via, size="4m", inodes=500):
    return TEXT.format(via=via, size=size, inodes=inodes)


@pytest.fixture(params=["quota", "loop", "tmpfs"])
def via(request):
    disk.need(request.param)
    return request.param


@pytest.fixture
def up(request, fleet, fleet_folder, via):
    """up(text): a started fleet whose root directory can be bounded in that way, each time in the same folder."""
    folder = request.getfixturevalue("quota_folder") if via == "quota" else fleet_folder / "fleet"
    os.makedirs(folder, mode=0o711, exist_ok=True)

    def start(content, *options):
        return fleet(content, *options, folder=folder)
    yield start


def write(started, container, name, kib):
    return started.inside(container, "dd", "if=/dev/zero", f"of={name}", "bs=16k", f"count={kib // 16}")


def size_of(started, container, name):
    return int(started.inside(container, "stat", "-c", "%s", name).stdout)


def fill_with_files(started, container):
    """How many empty files there is room for, and what is said of the next."""
    done = started.inside(container, "sh", "-c", "mkdir /many; i=0; while touch /many/$i 2>/tmp-said; do i=$((i+1)); done; "
                          "touch /many/x; echo $i; rm -r /many")
    return int(done.stdout), done.stderr


def test_full_is_full_inside_alone(up, via):
    started = up(text(via), "--interval", "100ms")
    started.wait_event("start", count=2)
    done = write(started, "demo-a-1", "/f", 10 << 10)
    assert done.returncode != 0 and FULL[via] in done.stderr
    assert 3 * MIB < size_of(started, "demo-a-1", "/f") <= 4 * MIB
    assert write(started, "demo-b-1", "/f", 3 << 10).returncode == 0
    with open(os.path.join(started.root, "host"), "wb") as host:
        host.write(bytes(8 * MIB))
    record = started.wait_record("container", container="demo-a-1", check=lambda r: r.get("disk", {}).get("current", 0) > 3 * MIB)
    assert 3 * MIB < record["disk"]["max"] <= 4 * MIB and record["disk"]["current"] <= record["disk"]["max"]
    assert 450 <= record["disk"]["inodes_max"] <= 550 and 5 < record["disk"]["inodes"] < 50
    assert started.inside("demo-a-1", "rm", "/f").returncode == 0
    assert write(started, "demo-a-1", "/f", 3 << 10).returncode == 0
    assert started.stop().returncode == 0
    disk.nothing_left(started)


def test_inodes(up, via):
    started = up(text(via))
    started.wait_event("start", count=2)
    count, said = fill_with_files(started, "demo-a-1")
    assert 400 < count < 550 and FULL[via] in said
    assert fill_with_files(started, "demo-a-1")[0] in range(count - 2, count + 3)
    started.stop()
    disk.nothing_left(started)


def test_what_is_written_outlives_a_run(up, via):
    content = text(via).replace("[sleep, '1000']", "[sh, -c, 'test -e /etc/x || { rm -r /etc; mkdir /etc; : > /etc/x; exit 1; }; sleep 1000']")
    started = up(content.replace("    network_mode: none\n", "    network_mode: none\n    restart: on-failure\n"))
    started.wait_event("start", count=4, timeout=20)
    assert started.inside("demo-a-1", "ls", "/etc").stdout.split() == ["hosts", "x"]
    assert len(started.events("die")) == 2
    started.stop()
    disk.nothing_left(started)


def test_a_project_cannot_be_left(fleet, quota_folder):  # noqa: F811
    started = fleet(text("quota"), folder=quota_folder)
    started.wait_event("start", count=2)
    limited = {number: values for number, values in disk.projects(started.root).items() if values[2]}
    assert len(limited) == 2 and all(values[2:] == (4 * MIB, 500) for values in limited.values())
    assert all(1 << 28 <= number < 1 << 31 for number in limited)
    inside = started.inside("demo-a-1", "sh", "-c", "mkdir /d; chattr -p 0 /d; chattr -p 7 /; chattr -P /; chattr -P /d; true")
    assert inside.stderr.count("chattr") == 4
    assert FULL["quota"] in write(started, "demo-a-1", "/d/f", 10 << 10).stderr
    started.stop()
    disk.nothing_left(started)


@pytest.mark.parametrize("via", ["quota", "tmpfs"], indirect=True)  # a loop keeps its size
def test_limits_change_in_place(up, via):
    started = up(text(via), "--interval", "100ms")
    started.wait_event("start", count=2)
    assert FULL[via] in write(started, "demo-a-1", "/f", 6 << 10).stderr
    rewrite(started, text(via, "8m", 600))
    message(started, "reloaded: 2 containers changed, 0 failed")
    assert started.wait_event("update", container="demo-a-1")["changes"] == {
        "disk.max": {"from": str(4 * MIB), "to": str(8 * MIB)}, "disk.inodes_max": {"from": "500", "to": "600"}}
    assert write(started, "demo-a-1", "/f", 6 << 10).returncode == 0
    started.wait_record("container", container="demo-a-1", check=lambda r: r.get("disk", {}).get("max") == 8 * MIB)
    rewrite(started, text(via, "2m", 600))
    if via == "quota":  # what is there stays there
        message(started, "reloaded: 2 containers changed, 0 failed", 2)
    else:
        message(started, "reloaded: 1 containers changed, 1 failed")
        assert "keeps the limits that it had" in message(started, "demo-a-1: update: x-shoal.disk via tmpfs: ")
    assert size_of(started, "demo-a-1", "/f") == 6 * MIB
    assert FULL[via] in write(started, "demo-b-1", "/f", 3 << 10).stderr
    assert len(started.events("start")) == 2
    started.stop()
    disk.nothing_left(started)


def test_a_tmpfs_always_limits_inodes(fleet):
    disk.need("tmpfs")
    size = text("tmpfs").replace("inodes: 500, ", "")
    started = fleet(size, "--interval", "100ms")
    started.wait_record("container", container="demo-a-1", check=lambda r: r.get("disk", {}).get("inodes_max") == 1024)
    rewrite(started, size.replace("4m", "8m"))
    message(started, "reloaded: 2 containers changed, 0 failed")
    started.wait_record("container", container="demo-a-1", check=lambda r: r.get("disk", {}).get("inodes_max") == 2048)
    started.stop()


def test_what_a_reload_refuses(fleet):
    disk.need("loop")
    started = fleet(text("loop"))
    started.wait_event("start", count=2)
    rewrite(started, text("loop", "8m"))
    assert "is not what runs; it is carried out by a loop, which keeps its size" in message(started, "services.a.x-shoal.disk: ")
    message(started, "nothing was changed")
    rewrite(started, text("tmpfs"))
    message(started, "services.a.x-shoal.disk.via: is not what runs")
    rewrite(started, text("loop").replace("    x-shoal: {disk", "    x-other: {disk"))
    message(started, "services.a.x-shoal.disk: is gone, but the fleet runs with it")
    assert started.stop().events("update") == []


def test_a_killed_supervisor_leaves_nothing(up, via):
    first = up(text(via))
    first.wait_event("start", count=2)
    write(first, "demo-a-1", "/f", 2 << 10)
    first.kill()
    second = up(text(via, "6m"))
    second.wait_message("left by a supervisor that was killed")
    second.wait_event("start", count=2)
    assert write(second, "demo-a-1", "/f", 5 << 10).returncode == 0
    if via == "quota":
        shoal.wait_for(lambda: sorted(v[2:] for v in disk.projects(second.root).values()) == [(6 * MIB, 500)] * 2,
                       what=lambda: f"the quotas of two containers: {disk.projects(second.root)}")
    assert second.stop().returncode == 0
    disk.nothing_left(second)


def test_refused_where_the_host_cannot(fleet):
    """The usual file system has no project quotas."""
    started = fleet(text("quota").replace("degrade: true", "degrade: false"))
    result = started.wait()
    assert result.returncode == 1 or result.returncode == 2
    said = "\n".join(result.messages)
    assert "compose.yaml:8:15: services.a.x-shoal.disk: the file system of " in said and "mount it with prjquota" in said
    started = fleet(text("quota"))
    started.wait_message("services.a.x-shoal.disk: not carried out: the file system of ")
    started.wait_event("start", count=2)
    assert write(started, "demo-a-1", "/f", 6 << 10).returncode == 0
    assert started.stop().returncode == 0


def test_more_than_there_is(fleet, fleet_folder):
    disk.need("loop")
    started = fleet(text("loop", "15t"))
    result = started.wait()
    assert result.events("start") == []
    assert any("compose.yaml:8:15: services.a.x-shoal.disk: 15728640.0 MiB are more than the " in line for line in result.messages)
    file = os.path.join(fleet_folder, "fleet0", "compose.yaml")
    checked = shoal.run("preflight", "-f", file)
    assert checked.returncode == 2 and "are more than the" in checked.stderr
