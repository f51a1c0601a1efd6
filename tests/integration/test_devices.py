"""devices and device_cgroup_rules: which nodes a sandbox has, whose they are, and what the kernel lets it do with them.

Nodes are made here where a test needs one of a certain owner or mode; their numbers are those of /dev/fuse and
/dev/hwrng (which opens to read alone): they can be opened without harm and are in nobody's default list."""
import ctypes
import os
import re
import signal
import stat
import struct

import pytest

import shoal
from test_sandbox import output_of

FUSE, HWRNG = (10, 229), (10, 183)
pytestmark = pytest.mark.skipif(not os.path.exists("/dev/fuse") or not os.path.exists("/dev/hwrng"),
                                reason="this machine has no /dev/fuse or no /dev/hwrng")
TRY = "t() { (eval \"exec 3$1$2\") 2>&1 && echo \"ok $1$2\"; }; "  # t '<' /dev/x: what opening it says


def node(path, numbers=FUSE, mode=0o666, uid=0, gid=0, kind=stat.S_IFCHR):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.mknod(path, kind | mode, os.makedev(*numbers))
    os.chmod(path, mode)
    os.chown(path, uid, gid)
    return path


def lines_of(fleet, script, body):
    lines, result = output_of(fleet, TRY + script, body)
    return [re.sub(r".*: can't \w+ ", "", line) for line in lines], result


def a_readable_device():
    """A device of this machine that gives bytes and is in nobody's default list. It is read, never written."""
    for name in [*sorted(d for d in os.listdir("/sys/block") if not d.startswith(("loop", "ram"))), "hwrng"]:
        try:
            with open(f"/dev/{name}", "rb", buffering=0) as device:
                if device.read(4):
                    return f"/dev/{name}"
        except OSError:
            pass
    pytest.skip("this machine has no disk and no hwrng that can be read")
    return None


def test_a_device_given_to_read_can_be_read_and_not_written(fleet):
    lines, _ = lines_of(fleet, "head -c 4 /dev/in | wc -c; t '<' /dev/in; t '<>' /dev/in; t '>>' /dev/in; "
                               "ls -l /dev | grep -c ' in$'; t '<' /dev/fuse; t '<>' /dev/fuse",
                        f"    devices: ['{a_readable_device()}:/dev/in:r', '/dev/fuse:/dev/fuse:rw']\n")
    assert lines == ["4", "ok </dev/in", "/dev/in: Operation not permitted", "/dev/in: Operation not permitted", "1",
                     "ok </dev/fuse", "ok <>/dev/fuse"]


def test_a_device_of_a_volume_is_refused_unless_a_rule_allows_it(fleet, fleet_folder):
    node(f"{fleet_folder}/nodes/fuse")
    node(f"{fleet_folder}/nodes/hwrng", HWRNG)
    node(f"{fleet_folder}/nodes/null", (1, 3))
    volume = f"    volumes: ['{fleet_folder}/nodes:/hostdev']\n"
    script = "for d in fuse hwrng null; do t '<' /hostdev/$d; done; t '>' /hostdev/fuse"
    refused = "/hostdev/{}: Operation not permitted".format
    lines, _ = lines_of(fleet, script, volume)
    assert lines == [refused("fuse"), refused("hwrng"), "ok </hostdev/null", refused("fuse")]
    lines, _ = lines_of(fleet, script, volume + "    device_cgroup_rules: ['c 10:229 r']\n")
    assert lines == ["ok </hostdev/fuse", refused("hwrng"), "ok </hostdev/null", refused("fuse")]
    lines, _ = lines_of(fleet, script, volume + "    device_cgroup_rules: ['c 10:* r', 'a 10:229 w']\n")
    assert lines == ["ok </hostdev/fuse", "ok </hostdev/hwrng", "ok </hostdev/null", "ok >/hostdev/fuse"]
    lines, _ = lines_of(fleet, script, volume + "    device_cgroup_rules: ['a *:* rwm']\n")
    assert lines == ["ok </hostdev/fuse", "ok </hostdev/hwrng", "ok </hostdev/null", "ok >/hostdev/fuse"]
    lines, _ = lines_of(fleet, script, volume + "    device_cgroup_rules: ['b *:* rwm']\n")
    assert lines == [refused("fuse"), refused("hwrng"), "ok </hostdev/null", refused("fuse")]


def test_the_rest_of_dev_is_as_without_devices(fleet):
    script = ("ls /dev | tr '\\n' ' '; echo; for d in null zero full random urandom; do t '<' /dev/$d; t '>' /dev/$d; done; "
              "t '<>' /dev/ptmx; touch /dev/x; mount | grep -c ' /dev/shm type tmpfs'; stat -c %a /dev /dev/null; echo x > /dev/null && echo null")
    own, _ = lines_of(fleet, script, "    devices: [/dev/fuse]\n")
    template, _ = lines_of(fleet, script, "")
    assert own[0].replace("fuse ", "") == template[0]
    assert own[1:] == template[1:]
    assert "ok <>/dev/ptmx" in own and "/dev/x: Read-only file system" not in own and own[-1] == "null"


def test_nodes_keep_mode_owner_and_group_by_number(fleet, fleet_folder):
    path = node(f"{fleet_folder}/nodes/kvm", mode=0o660, gid=104)
    node(f"{fleet_folder}/nodes/far", mode=0o600, uid=70000, gid=70000)
    devices = f"    devices: ['{path}:/dev/kvm', '{fleet_folder}/nodes/far:/dev/far']\n"
    script = "stat -c '%u:%g %a' /dev/kvm /dev/far; t '<>' /dev/kvm"
    owners = ["0:104 660", "65534:65534 600"]
    assert lines_of(fleet, script, devices)[0] == owners + ["ok <>/dev/kvm"]
    other = devices + "    user: '1000:1000'\n"
    assert lines_of(fleet, script, other)[0] == owners + ["/dev/kvm: Permission denied"]
    assert lines_of(fleet, script, other + "    group_add: ['104']\n")[0] == owners + ["ok <>/dev/kvm"]
    about = os.stat(path)
    assert (about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode)) == (0, 104, 0o660)


def test_a_directory_stands_for_its_devices_and_a_link_for_its_target(fleet, fleet_folder):
    top = f"{fleet_folder}/nodes"
    node(f"{top}/a")
    node(f"{top}/sub/deeper/b", HWRNG)
    os.symlink("a", f"{top}/link")
    os.symlink(top, f"{fleet_folder}/also")
    with open(f"{top}/sub/file", "w") as out:
        out.write("no device")
    lines, _ = lines_of(fleet, "cd /dev; find dir one two | sort; t '<' /dev/dir/a; t '<' /dev/dir/sub/deeper/b; t '<>' /dev/one; ls -l /dev/one | cut -c1",
                        f"    devices: ['{top}:/dev/dir:r', '{top}/link:/dev/one', '{fleet_folder}/also/sub:/dev/two']\n")
    assert lines == ["dir", "dir/a", "dir/sub", "dir/sub/deeper", "dir/sub/deeper/b", "one", "two", "two/deeper", "two/deeper/b",
                     "ok </dev/dir/a", "ok </dev/dir/sub/deeper/b", "ok <>/dev/one", "c"]


def test_all_of_dev(fleet):
    """What the sandbox has of its own stays: its terminals, its shared memory, its standard streams."""
    lines, _ = lines_of(fleet, "test -c /dev/fuse && echo fuse; readlink /dev/stdin; readlink /dev/ptmx; ls /dev/pts; t '<' /dev/fuse; t '<>' /dev/ptmx",
                        "    devices: ['/dev:/dev:r']\n")
    assert lines == ["fuse", "/proc/self/fd/0", "pts/ptmx", "ptmx", "ok </dev/fuse", "ok <>/dev/ptmx"]


def test_a_place_outside_of_dev(fleet):
    lines, _ = lines_of(fleet, "t '<' /opt/some/where/fuse; t '<' /srv/hwrng; ls /dev | tr '\\n' ' '; echo; touch /opt/x; grep -c ' /dev ' /proc/mounts",
                        "    read_only: true\n    devices: ['/dev/fuse:/opt/some/where/fuse', '/dev/hwrng:/srv/hwrng']\n")
    assert lines == ["ok </opt/some/where/fuse", "ok </srv/hwrng",
                     "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ", "1"]


def test_a_tunnel_of_ones_own(fleet, fleet_folder):
    path = node(f"{fleet_folder}/nodes/tun", (10, 200))
    try:
        os.close(os.open(path, os.O_RDWR))  # loads the module where it is one
    except OSError as error:
        pytest.skip(f"this kernel has no tun: {error.strerror}")
    lines, _ = lines_of(fleet, "tunctl -t t0 -f /dev/net/tun; test -d /sys/class/net/t0 && echo there",
                        f"    cap_add: [NET_ADMIN]\n    devices: ['{path}:/dev/net/tun']\n")
    assert lines == ["t0", "there"]


def test_a_file_system_of_ones_own(fleet):
    lines, _ = lines_of(fleet, "exec 3<>/dev/fuse; mkdir /m; mount -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 me /m; grep -o 'me /m fuse' /proc/mounts",
                        "    cap_add: [SYS_ADMIN]\n    devices: [/dev/fuse]\n")
    assert lines == ["me /m fuse"]


def test_who_may_mount_cannot_reach_the_dev_of_others(fleet):
    started = fleet("""\
name: demo
x-shoal: {degrade: true}
services:
  one:
    image: builtin:busybox
    network_mode: none
    cap_add: [SYS_ADMIN]
    command: [sh, -c, 'mount -o remount,bind,rw /dev && rm /dev/full && ls /dev/full; sleep 1000']
  two:
    image: builtin:busybox
    network_mode: none
    command: [sleep, '1000']
""")
    shoal.wait_for(lambda: started.log_records("demo-one-1"))
    assert "/dev/full: No such file" in started.log_records("demo-one-1")[0]["log"]
    started.wait_event("start", container="demo-two-1")
    assert started.inside("demo-two-1", "test", "-c", "/dev/full").returncode == 0
    started.stop()


def test_in_a_group_and_with_a_network(fleet, fleet_folder):
    node(f"{fleet_folder}/nodes/fuse")
    text = f"""\
name: demo
x-shoal: {{degrade: true, groups: {{important/ones: {{}}}}}}
services:
  web:
    image: builtin:busybox
    command: [sh, -c, '(exec 3</dev/fuse) && echo own; (exec 3</hostdev/fuse) && echo host']
    devices: [/dev/fuse]
    x-shoal: {{group: important/ones}}
    volumes: ['{fleet_folder}/nodes:/hostdev']
  other:
    image: builtin:busybox
    command: [sh, -c, '(exec 3</hostdev/fuse) || echo refused']
    x-shoal: {{group: important/ones}}
    volumes: ['{fleet_folder}/nodes:/hostdev']
"""
    started = fleet(text)
    started.wait()
    assert [r["log"] for r in started.log_records("demo-web-1")] == ["own\n", "host\n"]
    assert started.log_records("demo-other-1")[-1]["log"] == "refused\n"


def test_a_start_again_sees_the_device_of_that_moment(fleet, fleet_folder):
    path = node(f"{fleet_folder}/nodes/stick")
    text = f"""\
name: demo
x-shoal: {{degrade: true, restart: {{backoff: 20ms, max: 20ms}}}}
services:
  web:
    image: builtin:busybox
    network_mode: none
    command: [sh, -c, 'exec 3</dev/stick && ls -l /dev/stick && exec sleep 1000']
    devices: ['{path}:/dev/stick:rw']
    restart: always
"""
    started = fleet(text)
    pid = started.wait_event("start")["pid"]
    shoal.wait_for(lambda: "229" in "".join(r["log"] for r in started.log_records("demo-web-1")))
    os.unlink(path)
    os.kill(pid, signal.SIGKILL)
    died = started.wait_event("die", cause="failed")
    assert died["error"] == f"demo-web-1: rootfs: devices: {path}: No such file or directory"
    mark = started.mark()
    node(path, HWRNG)
    started.wait_event("start", since=mark)
    shoal.wait_for(lambda: "183" in "".join(r["log"] for r in started.log_records("demo-web-1")))
    started.stop()


def test_a_prepared_start(fleet):
    started = fleet("""\
name: demo
x-shoal: {degrade: true, restart: {backoff: 300ms, max: 300ms}}
services:
  web:
    image: builtin:busybox
    network_mode: none
    command: [sh, -c, 'exec 3</dev/fuse && echo ok']
    devices: [/dev/fuse]
    restart: always
    x-shoal: {warm: 1}
""")
    started.wait_event("start", count=3)
    assert {e["exitCode"] for e in started.events("die")} == {0}
    started.stop()


@pytest.mark.parametrize("device, words", [
    ("/dev/nosuch:/dev/x", "/dev/nosuch: No such file or directory"),
    ("/etc/hostname:/dev/x", "/etc/hostname is neither a device nor a directory of devices"),
    ("FOLDER/empty:/dev/x", "there is no device in FOLDER/empty"),
    ("/dev/fuse:/dev/pts", "/dev/pts is the sandbox's own"),
    ("/dev/fuse:/dev/fd/3", "/dev/fd/3 is the sandbox's own"),
    ("/dev/fuse:/dev", "/dev/fuse cannot be /dev itself"),
])
def test_what_this_host_does_not_have_is_refused_before_anything_starts(fleet, fleet_folder, device, words):
    os.makedirs(f"{fleet_folder}/empty")
    device, words = (text.replace("FOLDER", str(fleet_folder)) for text in (device, words))
    text = ("name: demo\nservices:\n  web:\n    image: builtin:busybox\n    command: [sleep, '1']\n"
            f"    network_mode: none\n    devices: [/dev/fuse, '{device}']\n")
    started = fleet(text)
    result = started.wait()
    assert result.returncode == 2 and result.events("start") == []
    wanted = f"compose.yaml:7:26: services.web.devices.1: {words}"
    assert any(line.endswith(wanted) for line in result.messages), result.messages
    looked = shoal.run("preflight", "-f", started.file)
    assert looked.returncode != 0 and wanted in looked.stderr


def test_a_reload_changes_no_devices(fleet):
    text = ("name: demo\nx-shoal: {degrade: true}\nservices:\n  web:\n    image: builtin:busybox\n    command: [sleep, '1000']\n"
            "    network_mode: none\n    devices: [/dev/fuse]\n")
    started = fleet(text)
    started.wait_event("start")
    with open(started.file, "w") as out:
        out.write(text.replace("/dev/fuse]", "'/dev/fuse:/dev/fuse:r']\n    device_cgroup_rules: ['c 1:1 r']"))
    started.send(signal.SIGHUP)
    started.wait_message(r"services.web.devices: is not what runs; a reload changes limits alone")
    started.wait_message(r"services.web.device_cgroup_rules: is not what runs")
    started.stop()


# ---- a cgroup above that lets nobody else decide ----

SYS_BPF, PROG_LOAD, PROG_ATTACH, CGROUP_DEVICE_PROGRAM, CGROUP_DEVICE = 321, 5, 8, 15, 6


def bpf(command, attributes):
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = libc.syscall(SYS_BPF, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return result


def close_above():
    """Make the directory of all projects, with a device program that allows everything and no other below it."""
    path = shoal.cgroup_mount() + "/shoal"
    os.makedirs(path, exist_ok=True)
    code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xb7, 0, 0, 1, 0x95, 0, 0, 0))  # r0 = 1; exit
    text = ctypes.create_string_buffer(b"none")
    program = bpf(PROG_LOAD, struct.pack("<IIQQ", CGROUP_DEVICE_PROGRAM, 2, ctypes.addressof(code), ctypes.addressof(text)))
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    bpf(PROG_ATTACH, struct.pack("<IIII", folder, program, CGROUP_DEVICE, 0))
    os.close(folder)
    os.close(program)
    return path


@pytest.fixture
def closed_above():
    path = close_above()
    yield path
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass


def test_a_program_above_that_leaves_no_room(closed_above, fleet, fleet_folder):
    why = f"{closed_above} has a device program that lets no other decide below it"
    head = "name: demo\nx-shoal: {degrade: DEGRADE}\nservices:\n  web:\n    image: builtin:busybox\n    network_mode: none\n"
    devices = head + "    command: [sh, -c, 'exec 3<>/dev/fuse && echo ok']\n    devices: ['/dev/fuse:/dev/fuse:r']\n"
    rules = head + "    command: [sleep, '1']\n    device_cgroup_rules: ['c 1:1 r']\n"
    for text, key in ((devices, "8:15: services.web.devices"), (rules, "8:27: services.web.device_cgroup_rules")):
        path = os.path.join(fleet_folder, "looked.yaml")
        with open(path, "w") as out:
            out.write(text.replace("DEGRADE", "false"))
        looked = shoal.run("preflight", "-f", path)
        assert looked.returncode != 0 and f"looked.yaml:{key}: needs a device program" in looked.stderr and why in looked.stderr
        started = fleet(text.replace("DEGRADE", "false"))
        line = started.wait_message(f".*compose.yaml:{key}: needs a device program.*").group(0)
        assert why in line
        assert started.wait().returncode == 2
        close_above()


def test_going_on_below_a_program_that_leaves_no_room(closed_above, fleet):
    text = ("name: demo\nx-shoal: {degrade: true}\nservices:\n  web:\n    image: builtin:busybox\n    network_mode: none\n"
            "    command: [sh, -c, 'exec 3<>/dev/fuse && echo ok']\n    devices: ['/dev/fuse:/dev/fuse:r']\n")
    started = fleet(text)
    started.wait_message(r"warning: .*compose.yaml:8:15: services.web.devices: what may be done with them is not restricted: "
                         + closed_above)
    assert started.wait_event("die")["exitCode"] == 0
    started.wait()


def test_a_warning_where_nobody_asks_for_devices(closed_above, fleet):
    text = ("name: demo\nservices:\n  web:\n    image: builtin:busybox\n    network_mode: none\n"
            "    command: [sh, -c, 'echo > /dev/null']\n")
    started = fleet(text)
    started.wait_message(r"warning: what devices sandboxes may use is not restricted by a program: " + closed_above)
    assert started.wait_event("die")["exitCode"] == 0
    started.wait()
