"""What a sandbox is, seen from inside it and from the kernel's side."""
import os

import pytest

import shoal

NAMESPACES = ("mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time")
DOCKER_DEFAULT_WITHOUT_NET_RAW = 0xa80405fb & ~(1 << 13)

HEAD = "name: demo\nx-shoal: {degrade: true}\nservices:\n"


def one(body, extra=""):
    return f"{HEAD}  web:\n    image: builtin:busybox\n    network_mode: none\n{body}{extra}"


SLEEP = "    command: [sleep, '1000']\n"


def output_of(fleet, script, body="", options=(), text=None):
    """Run script as the one container of a fleet: its lines of stdout, from its log."""
    quoted = script.replace("'", "''").replace("$", "$$")
    started = fleet(text or one(f"{body}    command: [sh, -c, '{quoted}']\n"), *options)
    started.wait_event("die", container="demo-web-1")
    result = started.wait()
    lines = [r["log"].rstrip("\n") for r in started.log_records("demo-web-1") if r["stream"] == "stdout"]
    return lines, result


def test_is_root_of_its_own_ids(fleet):
    started = fleet(one(SLEEP))
    started.wait_event("start", container="demo-web-1")
    pid = started.pid_of("demo-web-1")
    with open(f"/proc/{pid}/uid_map") as lines:
        inner, outer, count = map(int, lines.read().split())
    assert (inner, count) == (0, 65536) and outer >= 1 << 28
    with open(f"/proc/{pid}/gid_map") as lines:
        assert list(map(int, lines.read().split())) == [inner, outer, count]
    assert started.inside("demo-web-1", "id", "-u").stdout.strip() == "0"
    assert started.stop().returncode == 0


def test_shares_no_namespace_with_the_supervisor(fleet):
    started = fleet(one(SLEEP))
    started.wait_event("start", container="demo-web-1")
    pid, boss = started.pid_of("demo-web-1"), started.process.pid
    for name in NAMESPACES:
        assert os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/{boss}/ns/{name}"), name
    assert os.path.basename(started.cgroup_of("demo-web-1")) == "demo-web-1"
    assert started.cgroup_of("demo-web-1").endswith("/shoal/demo/demo-web-1")
    with open(os.path.join(started.cgroup_of("demo-web-1"), "cgroup.procs")) as procs:
        assert str(pid) in procs.read().split()
    started.stop()


def test_supervisors_own_mounts_stay_its_own(fleet):
    with open("/proc/self/mountinfo") as mounts:
        before = mounts.read()
    started = fleet(one(SLEEP))
    started.wait_event("start", container="demo-web-1")
    with open("/proc/self/mountinfo") as mounts:
        assert mounts.read() == before
    with open(f"/proc/{started.process.pid}/mountinfo") as mounts:
        points = [line.split()[4] for line in mounts]
    ours = [point for point in points if point.startswith(started.folder)]
    assert ours == [os.path.join(started.run_dir, "demo", "dev")]  # the template of /dev, and nothing of any sandbox
    started.stop()


def test_sees_itself_alone(fleet):
    lines, _ = output_of(fleet, "hostname; cat /etc/hostname; cat /proc/self/cgroup | grep 0::; ls /proc | grep -c '^[0-9]'; "
                                "ls /proc/self/fd | wc -l; umask; pwd; echo $HOME $HOSTNAME $PATH")
    assert lines[0] == "demo-web-1" and lines[1] == "demo-web-1"
    assert lines[2] == "0::/"
    assert int(lines[3]) <= 4  # the shell and the pipeline
    assert int(lines[4]) == 4  # stdio and ls's own
    assert lines[5] == "0022" and lines[6] == "/"
    assert lines[7] == "/root demo-web-1 /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.mark.parametrize("command", [
    "mount -t tmpfs none /tmp",
    "reboot -f",
    "insmod /etc/passwd",
    "echo 1 > /proc/sys/kernel/panic",
    "echo 0 > /proc/sys/net/ipv4/ip_forward",
    "echo x > /proc/sysrq-trigger",
    "echo 1 > /sys/kernel/profiling",
    "unshare -m true",
    "unshare -U true",
    "mknod /tmp/sda b 8 0",
    "hostname other",
    "dmesg",
    "swapoff -a /dev/none",
    "cat /proc/kcore | grep x",
    "echo 1 > /sys/fs/cgroup/cgroup.freeze",
])
def test_may_not(fleet, command):
    lines, _ = output_of(fleet, f"({command}) > /dev/null 2>&1 && echo allowed || echo refused")
    assert lines == ["refused"]


def status_of(lines, key):
    return next(line.split()[1] for line in lines if line.startswith(key + ":"))


def test_has_dockers_capabilities_less_net_raw(fleet):
    lines, _ = output_of(fleet, "", text=one("    command: [cat, /proc/self/status]\n"))
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status_of(lines, name), 16) == DOCKER_DEFAULT_WITHOUT_NET_RAW, name
    assert int(status_of(lines, "CapInh"), 16) == 0 and int(status_of(lines, "CapAmb"), 16) == 0
    assert status_of(lines, "NoNewPrivs") == "1"
    assert status_of(lines, "Seccomp") == "2"
    assert int(status_of(lines, "SigBlk"), 16) == 0 and int(status_of(lines, "SigIgn"), 16) == 0


def test_capabilities_added_and_dropped(fleet):
    lines, _ = output_of(fleet, "cat /proc/self/status",
                         "    cap_drop: [ALL]\n    cap_add: [NET_ADMIN, CAP_SYS_TIME]\n")
    assert int(status_of(lines, "CapEff"), 16) == 1 << 12 | 1 << 25
    assert int(status_of(lines, "CapBnd"), 16) == 1 << 12 | 1 << 25


def test_another_user_holds_what_the_file_adds_and_nothing_else(fleet):
    lines, _ = output_of(fleet, "id -u; id -g; cat /proc/self/status", "    user: '1000:1001'\n    cap_add: [NET_ADMIN]\n")
    assert lines[:2] == ["1000", "1001"]
    for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        assert int(status_of(lines, name), 16) == 1 << 12, name
    assert int(status_of(lines, "CapBnd"), 16) == DOCKER_DEFAULT_WITHOUT_NET_RAW | 1 << 12


def test_supplementary_groups(fleet):
    lines, _ = output_of(fleet, "id -G", "    user: '1000:1001'\n    group_add: ['2000', '3000']\n")
    assert sorted(lines[0].split()) == ["1001", "2000", "3000"]


def test_new_privileges_and_unconfined_are_written_in_the_file(fleet):
    lines, _ = output_of(fleet, "cat /proc/self/status",
                         "    security_opt: ['no-new-privileges:false', 'seccomp=unconfined']\n")
    assert status_of(lines, "NoNewPrivs") == "0" and status_of(lines, "Seccomp") == "0"


def test_filter_without_no_new_privs(fleet):
    lines, _ = output_of(fleet, "cat /proc/self/status", "    security_opt: ['no-new-privileges:false']\n")
    assert status_of(lines, "NoNewPrivs") == "0" and status_of(lines, "Seccomp") == "2"


def test_file_systems(fleet):
    lines, _ = output_of(fleet, "cat /proc/mounts; cat /dev/shm/none; ls /sys/firmware | wc -l; cat /proc/keys | wc -c")
    mounts = {line.split()[1]: line.split() for line in lines if line.count(" ") >= 5}
    assert mounts["/"][2] == "overlay" and mounts["/"][3].startswith("rw")
    assert mounts["/proc"][2] == "proc" and mounts["/sys"][3].startswith("ro")
    assert mounts["/sys/fs/cgroup"][2] == "cgroup2" and mounts["/sys/fs/cgroup"][3].startswith("ro")
    assert mounts["/dev/pts"][2] == "devpts" and mounts["/dev/mqueue"][2] == "mqueue"
    assert "size=65536k" in mounts["/dev/shm"][3]
    assert mounts["/proc/sys"][3].startswith("ro")
    assert lines[-2:] == ["0", "0"]


def test_devices(fleet):
    lines, _ = output_of(fleet, "for d in null zero full random urandom tty; do test -c /dev/$d && echo $d; done; "
                                "ls -ld /dev/ptmx /dev/fd | wc -l; echo x > /dev/null && head -c 2 /dev/zero | wc -c; "
                                "echo y > /dev/full || echo full")
    assert lines[:6] == ["null", "zero", "full", "random", "urandom", "tty"]
    assert lines[6:] == ["2", "2", "full"]


def test_read_only_root(fleet):
    lines, _ = output_of(fleet, "touch /x || echo refused; touch /run/x && echo written; touch /dev/shm/x && echo shm",
                         "    read_only: true\n    tmpfs: /run:size=1m,mode=755\n")
    assert lines == ["refused", "written", "shm"]


def test_volumes(fleet, fleet_folder):
    source = fleet_folder / "data"
    source.mkdir()
    (source / "given").write_text("from the host\n")
    body = (f"    volumes:\n      - {source}:/data\n      - {source}:/look:ro\n      - kept:/kept\n"
            "      - type: tmpfs\n        target: /scratch\n        tmpfs: {size: 1048576}\n")
    script = ("cat /data/given; echo back > /data/made; stat -c %u /data/made; touch /look/x || echo refused; "
              "echo 1 >> /kept/n; wc -l < /kept/n; grep -c ' /scratch tmpfs .*size=1024k' /proc/mounts").replace("'", "''")
    text = one(f"{body}    command: [sh, -c, '{script}']\n", "volumes: {kept: }\n")
    folder = fleet_folder / "twice"
    folder.mkdir(mode=0o711)
    for count in ("1", "2"):
        lines, _ = output_of(lambda t, *o: fleet(t, *o, folder=str(folder)), "", text=text)
        assert lines[-5:] == ["from the host", "0", "refused", count, "1"]
    assert (source / "made").read_text() == "back\n"
    assert (source / "made").stat().st_uid == os.getuid()  # the sandbox's root is the file's owner on both sides


def test_layers_lie_on_each_other(fleet, fleet_folder):
    low, high = fleet_folder / "low", fleet_folder / "high"
    for folder in (low, high):
        (folder / "bin").mkdir(parents=True)
    with open("/bin/busybox", "rb") as busybox:
        (low / "bin" / "busybox").write_bytes(busybox.read())
    os.chmod(low / "bin" / "busybox", 0o755)
    os.symlink("busybox", low / "bin" / "sh")
    os.symlink("busybox", low / "bin" / "cat")
    (low / "word").write_text("low\n")
    (low / "only").write_text("only low\n")
    (high / "word").write_text("high\n")
    text = f"{HEAD}  web:\n    image: dir:{low}:{high}\n    network_mode: none\n    command: [sh, -c, 'cat /word /only; echo new > /word; cat /word']\n"
    lines, _ = output_of(fleet, "", text=text)
    assert lines == ["high", "only low", "new"]
    assert (high / "word").read_text() == "high\n"


def test_environment_and_working_directory(fleet, fleet_folder):
    folder = fleet_folder / "env"
    folder.mkdir(mode=0o711)
    (folder / "vars").write_text("A=file\nB='quoted value'\n")
    (folder / ".env").write_text("WORD=interpolated\n")
    text = one("    env_file: vars\n    environment: {A: own, C: '${WORD}', EMPTY: ''}\n    working_dir: /made/by/us\n"
               "    command: [sh, -c, 'echo $$A; echo $$B; echo $$C; echo [$$EMPTY]; pwd']\n")
    lines, _ = output_of(lambda t, *o: fleet(t, *o, folder=str(folder)), "", text=text)
    assert lines == ["own", "quoted value", "interpolated", "[]", "/made/by/us"]


def test_names_limits_and_sysctls(fleet):
    body = ("    hostname: box\n    domainname: example.test\n    ulimits: {nofile: {soft: 100, hard: 200}, nproc: 50}\n"
            "    sysctls: {net.ipv4.tcp_keepalive_time: 77, kernel.msgmax: 5000}\n    shm_size: 2m\n")
    lines, _ = output_of(fleet, "hostname; cat /proc/sys/kernel/domainname; ulimit -Sn; ulimit -Hn; "
                                "cat /proc/sys/net/ipv4/tcp_keepalive_time /proc/sys/kernel/msgmax; "
                                "grep -c size=2048k /proc/mounts; cat /proc/sys/net/ipv4/ping_group_range", body)
    assert lines[:7] == ["box", "example.test", "100", "200", "77", "5000", "1"]
    assert lines[7].split() == ["0", "65535"]


def test_init_reaps_and_forwards(fleet):
    script = "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    quoted = script.replace("'", "''")
    started = fleet(one(f"    init: true\n    command: [sh, -c, '{quoted}']\n"))
    started.wait_event("start", container="demo-web-1")
    pid = started.pid_of("demo-web-1")
    with open(f"/proc/{pid}/cmdline") as line:
        assert line.read().startswith("shoal-init")
    shoal.wait_for(lambda: started.log_records("demo-web-1"), what="ready")
    result = started.stop()
    died = result.events("die", container="demo-web-1")[0]
    assert died["exitCode"] == 7 and died["cause"] == "stop"


def test_host_network_is_the_hosts(fleet):
    text = f"{HEAD}  web: {{image: 'builtin:busybox', network_mode: host, command: [sleep, '1000']}}\n"
    started = fleet(text)
    started.wait_event("start", container="demo-web-1")
    pid = started.pid_of("demo-web-1")
    assert os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
    assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    started.stop()
