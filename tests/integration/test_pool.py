"""What is made ahead: network namespaces that serve one sandbox after the other, sandboxes parked before execve."""
import fcntl
import os
import signal
import subprocess

import pytest

import shoal

NS_GET_USERNS = 0xB701  # linux/nsfs.h
SERVE = "exec httpd -f -p 80 -h /"
RESTART = "restart: {backoff: 50ms, jitter: 0, factor: 1}"


def head(fleet_x=""):
    return f"name: demo\nx-shoal: {{degrade: true, {RESTART}{fleet_x}}}\nservices:\n"


def service(name, script, extra=""):
    quoted = script.replace("'", "''").replace("$", "$$")
    return f"  {name}:\n    image: builtin:busybox\n    command: [sh, -c, '{quoted}']\n    stop_signal: SIGKILL\n{extra}"


def is_of_the_stock(pid):
    """Whether the process's network namespace belongs to the host's user namespace."""
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    owner = fcntl.ioctl(fd, NS_GET_USERNS)
    try:
        return os.fstat(owner).st_ino == os.stat("/proc/self/ns/user").st_ino
    finally:
        os.close(fd)
        os.close(owner)


def network_namespace(pid):
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def kill_and_wait(started, container, count):
    """Kill the container; the pid of its next start, which is the count-th."""
    os.kill(started.pid_of(container), signal.SIGKILL)
    return started.wait_event("start", container=container, count=count)["pid"]


def fetch(started, container, host):
    """The answer of a web server, by the sandbox's own tools."""
    return shoal.wait_for(lambda: started.inside(container, "sh", "-c", f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {host} 80").stdout,
                          what=f"an answer of {host} to {container}")


def wait_pool(started, check):
    return started.wait_record("fleet", since=started.mark(), check=lambda r: check(r["pool"]))


def test_a_sandbox_of_the_stock_is_like_any_other(fleet):
    """Address, route, names, ICMP sockets, low ports, sysfs: the second start comes from the stock, and nothing is other inside."""
    script = "httpd -p 80 -h /; ls /sys/class/net; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; exec sleep 1000"
    started = fleet(head() + service("a", script, "    restart: always\n") + service("b", "exec sleep 1000"),
                    "--interval", "100ms")
    started.wait_event("start", container="demo-b-1")
    started.wait_event("start", container="demo-a-1")
    pool = wait_pool(started, lambda pool: pool["ready"] > 0)["pool"]
    own = started.wait_record("supervisor", since=started.mark())["cpu"]
    assert 0 < pool["usage_usec"] < own["usage_usec"] == own["user_usec"] + own["system_usec"]
    pid = kill_and_wait(started, "demo-a-1", 2)
    assert is_of_the_stock(pid)
    address = started.wait_event("connect", container="demo-a-1")["address"]
    shown = started.inside("demo-a-1", "ip", "-o", "addr").stdout
    assert f"inet {address}/16" in shown and "inet6 fe80" not in shown and "127.0.0.1/8" in shown
    assert "default via" in started.inside("demo-a-1", "ip", "route").stdout
    shoal.wait_for(lambda: [r["log"] for r in started.log_records("demo-a-1")][-3:] == ["eth0\n", "lo\n", "0\n"],
                   what="what the second start says")
    assert fetch(started, "demo-b-1", "a").startswith("HTTP/1.")
    can_ping = ("import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)")
    subprocess.run(["nsenter", "-t", str(pid), "-U", "-n", "--", "/usr/bin/python3", "-c", can_ping], check=True)
    assert "ro," in started.inside("demo-a-1", "grep", " /sys sysfs ", "/proc/mounts").stdout
    started.stop()


def test_a_namespace_serves_again_with_nothing_of_the_last_tenant(fleet):
    started = fleet(head(", pool: 1") + service("a", "exec sleep 1000", "    restart: always\n") +
                    service("b", "exec sleep 1000"), "--interval", "100ms")
    for name in ("demo-a-1", "demo-b-1"):
        started.wait_event("start", container=name)
    other = started.wait_event("connect", container="demo-b-1")["address"]
    for start in range(2, 6):
        wait_pool(started, lambda pool: pool["ready"] > 0)
        pid = kill_and_wait(started, "demo-a-1", start)
        assert is_of_the_stock(pid)
        if start < 5:  # counted, and not for the next one
            send = f"import socket; [socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('{other}', 9)) for _ in range(5)]"
            subprocess.run(["nsenter", "-t", str(pid), "-n", "--", "/usr/bin/python3", "-c", send], check=True)
            started.wait_record("container", since=started.mark(), container="demo-a-1",
                                check=lambda r: r.get("net", {}).get("tx_packets", 0) >= 5)
    shown = started.inside("demo-a-1", "ip", "-o", "-4", "addr", "show", "dev", "eth0").stdout.strip()
    assert len(shown.splitlines()) == 1
    assert started.inside("demo-a-1", "ip", "route").stdout.count("default") == 1
    record = started.wait_record("container", since=started.mark(), container="demo-a-1", state="running",
                                 check=lambda r: "net" in r)
    assert record["net"]["tx_packets"] < 5
    start = 5
    while wait_pool(started, lambda pool: pool["ready"] > 0)["pool"]["reused"] == 0 and start < 20:
        start += 1  # a new one was faster than the scrubbed one
        kill_and_wait(started, "demo-a-1", start)
    assert start < 20
    started.stop()


def test_a_namespace_with_a_connection_winding_down_is_not_used_again(fleet):
    """The next tenant could not bind the port."""
    script = ("httpd -p 80 -h /; until grep -q ' 06 00000000:' /proc/net/tcp; do printf 'GET / HTTP/1.0\\r\\n\\r\\n' | "
              "nc 127.0.0.1 80 >/dev/null; done; echo winding down; exec sleep 1000")
    started = fleet(head(", pool: 1") + service("a", script, "    restart: always\n"), "--interval", "100ms")
    started.wait_event("start", container="demo-a-1")

    def wait_winding_down(count):
        shoal.wait_for(lambda: sum(r["log"] == "winding down\n" for r in started.log_records("demo-a-1")) >= count,
                       what="a connection in TIME_WAIT")
    wait_winding_down(1)
    for start in range(2, 5):
        wait_pool(started, lambda pool: pool["ready"] > 0)
        assert is_of_the_stock(kill_and_wait(started, "demo-a-1", start))
        wait_winding_down(start)
    assert wait_pool(started, lambda pool: True)["pool"]["reused"] == 0
    started.stop()


def test_who_may_shape_the_network_has_a_namespace_of_its_own(fleet):
    text = head()
    for name, extra in (("admin", "cap_add: [NET_ADMIN]"), ("raw", "cap_add: [NET_RAW]"),
                        ("sysctl", "sysctls: {net.core.somaxconn: '77'}"), ("plain", "labels: {a: b}")):
        text += service(name, "exec sleep 1000", f"    restart: always\n    {extra}\n")
    started = fleet(text, "--interval", "100ms")
    for name in ("admin", "raw", "sysctl", "plain"):
        started.wait_event("start", container=f"demo-{name}-1")
    wait_pool(started, lambda pool: pool["ready"] > 0)
    for name in ("admin", "raw", "sysctl", "plain"):
        wait_pool(started, lambda pool: pool["ready"] > 0)
        pid = kill_and_wait(started, f"demo-{name}-1", 2)
        assert is_of_the_stock(pid) == (name == "plain"), name
    assert started.inside("demo-sysctl-1", "cat", "/proc/sys/net/core/somaxconn").stdout == "77\n"
    started.stop()


def test_no_pool(fleet):
    started = fleet(head(", pool: 0") + service("a", "exec sleep 1000", "    restart: always\n"), "--interval", "100ms")
    started.wait_event("start", container="demo-a-1")
    assert not is_of_the_stock(kill_and_wait(started, "demo-a-1", 2))
    assert wait_pool(started, lambda pool: True)["pool"] == dict.fromkeys(
        ("ready", "lent", "made", "reused", "hits", "misses", "failed", "usage_usec"), 0)
    started.stop()


def test_what_waits_for_a_dependency_is_parked_and_then_wakes(fleet):
    text = (head() + service("gate", "while [ ! -e /open ]; do sleep 0.02; done") +
            service("a", "echo ran; exec sleep 1000", "    scale: 3\n    x-shoal: {warm: 2}\n"
                    "    depends_on: {gate: {condition: service_completed_successfully}}\n"))
    started = fleet(text, "--interval", "100ms")
    started.wait_record("fleet", check=lambda r: r["parked"] == 2 and r["running"] == 1)
    assert not started.events("start", service="a")
    started.inside("demo-gate-1", "touch", "/open")
    started.wait_event("start", count=3, service="a")
    for n in (1, 2, 3):
        shoal.wait_for(lambda n=n: started.log_records(f"demo-a-{n}"), what=f"output of demo-a-{n}")
    started.wait_record("fleet", since=started.mark(), check=lambda r: r["parked"] == 0 and r["running"] == 3)
    started.stop()


def test_what_waits_in_backoff_is_parked_and_keeps_its_files(fleet):
    started = fleet(head(", restart: {backoff: 5s}").replace(f"{RESTART}, ", "") +
                    service("a", "echo $(ls /mark*); touch /mark; exec sleep 1000",
                            "    restart: always\n    x-shoal: {warm: 1, restart: {backoff: 700ms, jitter: 0}}\n"),
                    "--interval", "100ms")
    first = started.wait_event("start", container="demo-a-1")
    shoal.wait_for(lambda: started.log_records("demo-a-1"), what="the first start's output")
    shoal.wait_for(lambda: started.inside("demo-a-1", "ls", "/mark").returncode == 0, what="the mark")
    os.kill(first["pid"], signal.SIGKILL)
    started.wait_record("fleet", check=lambda r: r["parked"] == 1 and r["backoff"] == 1)
    second = started.wait_event("start", container="demo-a-1", count=2)
    assert second["attempt"] == 1
    shoal.wait_for(lambda: "/mark\n" in [r["log"] for r in started.log_records("demo-a-1")], what="the mark seen again")
    started.stop()


def test_a_parked_sandbox_goes_with_its_fleet(fleet):
    text = (head() + service("gate", "exec sleep 1000") +
            service("a", "exec sleep 1000", "    scale: 2\n    x-shoal: {warm: 2}\n"
                    "    depends_on: {gate: {condition: service_completed_successfully}}\n"))
    started = fleet(text, "--interval", "100ms")
    started.wait_record("fleet", check=lambda r: r["parked"] == 2)
    result = started.stop()
    assert result.returncode == 0 and not result.events("die", service="a")
    assert len(result.events("destroy")) == 3


def test_a_parked_sandbox_that_is_killed_starts_all_the_same(fleet):
    text = (head() + service("gate", "while [ ! -e /open ]; do sleep 0.02; done") +
            service("a", "echo ran; exec sleep 1000", "    x-shoal: {warm: 1}\n"
                    "    depends_on: {gate: {condition: service_completed_successfully}}\n"))
    started = fleet(text, "--interval", "100ms")
    started.wait_record("fleet", check=lambda r: r["parked"] == 1)
    with open(shoal.cgroup_mount() + "/shoal/demo/demo-a-1/cgroup.kill", "w") as kill:
        kill.write("1")
    started.wait_message("demo-a-1: could not be prepared: .*killed at the step: wait for the start")
    started.wait_record("fleet", since=started.mark(), check=lambda r: r["parked"] == 0)
    started.inside("demo-gate-1", "touch", "/open")
    started.wait_event("start", service="a")
    shoal.wait_for(lambda: started.log_records("demo-a-1"), what="its output")
    started.stop()


@pytest.mark.needs_controllers  # the sysctl is the whole machine's: in the guest it is ours
def test_a_pool_that_cannot_be_filled_says_so_and_tries_again(fleet):
    path = "/proc/sys/user/max_net_namespaces"
    with open(path) as text:
        before = text.read()
    waits = "    depends_on: {a: {condition: service_completed_successfully}}\n    scale: 4\n"
    started = fleet(head(", pool: 4") + service("a", "mkfifo /go; echo ready; read x < /go") + service("b", "sleep 1000", waits),
                    "--interval", "200ms")
    shoal.wait_for(lambda: started.log_records("demo-a-1"), what="ready")
    wait_pool(started, lambda pool: pool["ready"] >= 4)
    try:
        with open(path, "w") as out:
            out.write("0")
        started.inside("demo-a-1", "sh", "-c", "echo > /go")  # four starts follow, and use up what there is
        told = started.wait_event("pool", timeout=30)
        assert told["state"] == "failing" and "max_net_namespaces" in told["error"] and "No space left" in told["error"]
        again = started.wait_event("pool", timeout=30, count=2)
        assert again["state"] == "failing" and again["delay_usec"] == 2 * told["delay_usec"] == 2000000
        assert len([m for m in started.messages if "make a network namespace" in m]) == 1
    finally:
        with open(path, "w") as out:
            out.write(before)
    assert started.wait_event("pool", timeout=30, state="open")
    counts = wait_pool(started, lambda pool: pool["ready"] >= 4)["pool"]
    assert counts["failed"] >= 4 and counts["hits"] >= 4
    started.stop()
