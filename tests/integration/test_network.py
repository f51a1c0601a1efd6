"""Bridges, addresses, names, isolation, the way out. Everything happens in a network namespace of the test run's own."""
import ipaddress
import json
import os
import signal
import subprocess

import pytest

import shoal

HEAD = "name: demo\nx-shoal: {degrade: true}\nservices:\n"


def sleeper(name, extra=""):
    return f"  {name}:\n    image: builtin:busybox\n    command: [sleep, '1000']\n{extra}"


def server(name, extra=""):
    return (f"  {name}:\n    image: builtin:busybox\n"
            f"    command: [sh, -c, 'hostname > /tmp/index.html; exec httpd -f -p 80 -h /tmp']\n{extra}")


def links():
    return json.loads(subprocess.run(["ip", "-j", "-d", "link"], stdout=subprocess.PIPE, check=True).stdout)


def ip_inside(started, container, *words):
    """What the host's ip says in the container's network namespace."""
    return json.loads(subprocess.run(["nsenter", "-t", str(started.pid_of(container)), "-n", "ip", "-j", *words],
                                     stdout=subprocess.PIPE, check=True).stdout)


def bridges():
    return [link for link in links() if link.get("linkinfo", {}).get("info_kind") == "bridge"]


def address_of(started, container, network="default"):
    return started.wait_event("connect", container=container, network=network)["address"]


def fetch(started, container, host):
    """What http://host/ says inside the container; None when it does not answer."""
    looked = started.inside(container, "sh", "-c", f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {host} 80")
    return looked.stdout.split("\n\n")[-1].replace("\r", "").strip() or None if looked.returncode == 0 else None


def wait_fetch(started, container, host):
    return shoal.wait_for(lambda: fetch(started, container, host), what=f"an answer of {host} to {container}")


def test_a_sandbox_has_its_address_and_route(fleet):
    started = fleet(HEAD + sleeper("a") + "networks: {default: {ipam: {config: [{subnet: 10.77.0.0/24}]}}}\n")
    started.wait_event("start")
    address = address_of(started, "demo-a-1")
    assert ipaddress.ip_address(address) in ipaddress.ip_network("10.77.0.0/24")
    seen = ip_inside(started, "demo-a-1", "addr")
    by_name = {link["ifname"]: link for link in seen if link}
    assert set(by_name) == {"lo", "eth0"}
    assert [(a["local"], a["prefixlen"]) for a in by_name["eth0"]["addr_info"]] == [(address, 24)]  # and nothing of IPv6
    assert by_name["eth0"]["address"] == "02:42:" + ":".join(f"{b:02x}" for b in ipaddress.ip_address(address).packed)
    assert "UP" in by_name["eth0"]["flags"] and "UP" in by_name["lo"]["flags"]
    routes = ip_inside(started, "demo-a-1", "route")
    assert next(r for r in routes if r["dst"] == "default")["gateway"] == "10.77.0.1"
    started.stop()
    assert not bridges()


def test_the_host_side_has_no_ipv6(fleet):
    started = fleet(HEAD + sleeper("a"))
    started.wait_event("start")
    shown = json.loads(subprocess.run(["ip", "-j", "-6", "addr"], stdout=subprocess.PIPE, check=True).stdout)
    assert not [link for link in shown if link and link["ifname"].startswith("s")]
    started.stop()


def test_reach_each_other_by_address_and_name(fleet):
    started = fleet(HEAD + server("web", "    hostname: front\n") + sleeper("client", "    depends_on: [web]\n"))
    started.wait_event("start", container="demo-client-1")
    assert wait_fetch(started, "demo-client-1", address_of(started, "demo-web-1")) == "front"
    for name in ("web", "demo-web-1", "front"):
        assert wait_fetch(started, "demo-client-1", name) == "front"
    started.stop()


def test_networks_are_isolated(fleet):
    text = (HEAD + server("one", "    networks: [a]\n") + server("two", "    networks: [b]\n") +
            sleeper("both", "    networks: {a: {}, b: {aliases: [middle]}}\n") + "networks: {a: {}, b: {}}\n")
    started = fleet(text)
    for container in ("demo-one-1", "demo-two-1", "demo-both-1"):
        started.wait_event("start", container=container)
    one, two = address_of(started, "demo-one-1", "a"), address_of(started, "demo-two-1", "b")
    assert wait_fetch(started, "demo-both-1", one) == "demo-one-1"
    assert wait_fetch(started, "demo-both-1", two) == "demo-two-1"
    assert fetch(started, "demo-one-1", two) is None
    assert fetch(started, "demo-two-1", one) is None
    hosts = started.inside("demo-one-1", "cat", "/etc/hosts").stdout
    assert "two" not in hosts and "both" in hosts and "middle" not in hosts
    assert "middle" in started.inside("demo-two-1", "cat", "/etc/hosts").stdout
    started.stop()


def test_two_shards_are_one_network(fleet):
    text = (HEAD.replace("degrade: true", "degrade: true, pool: 0") + server("web", "    scale: 5\n") +
            "networks: {default: {x-shoal: {shard: 2}}}\n")
    started = fleet(text)
    for n in range(1, 6):
        started.wait_event("start", container=f"demo-web-{n}")
    assert len(bridges()) == 3
    ports = [link for link in links() if link.get("linkinfo", {}).get("info_kind") == "veth" and link.get("master")]
    per_bridge = {}
    for port in ports:
        per_bridge.setdefault(port["master"], []).append(port["ifname"])
    assert sorted(len(names) for names in per_bridge.values()) == [2, 3, 4]  # 1+uplink, 2+uplink, 2+two uplinks
    for n in range(2, 6):
        assert wait_fetch(started, "demo-web-1", address_of(started, f"demo-web-{n}")) == f"demo-web-{n}"
    started.stop()


def test_hosts_follow_what_ends(fleet):
    text = HEAD + sleeper("stays") + ("  goes:\n    image: builtin:busybox\n    command: [sh, -c, 'sleep 0.3']\n")
    started = fleet(text)
    started.wait_event("start", container="demo-goes-1")
    started.wait_event("start", container="demo-stays-1")
    assert "demo-goes-1" in started.inside("demo-stays-1", "cat", "/etc/hosts").stdout
    started.wait_event("die", container="demo-goes-1")
    shoal.wait_for(lambda: "demo-goes-1" not in started.inside("demo-stays-1", "cat", "/etc/hosts").stdout,
                   what="/etc/hosts without the dead")
    assert "demo-stays-1" in started.inside("demo-stays-1", "cat", "/etc/hosts").stdout
    started.stop()


def test_extra_hosts(fleet):
    started = fleet(HEAD + sleeper("a", "    extra_hosts: ['other.test:192.0.2.7']\n"))
    started.wait_event("start")
    assert "192.0.2.7\tother.test" in started.inside("demo-a-1", "cat", "/etc/hosts").stdout
    started.stop()


# Says from where it was called.
SERVER = """
import socket
with socket.create_server(("198.51.100.2", 7)) as listening:
    print("ready", flush=True)
    print(listening.accept()[1][0], flush=True)
"""


@pytest.fixture
def outside():
    """A host outside: a namespace of its own at the far end of a veth pair, 198.51.100.2, with a web server on it."""
    def ip(*words):
        subprocess.run(["ip", *words], check=True)
    keeper = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    keeper.stdout.readline()
    ip("link", "add", "up0", "type", "veth", "peer", "name", "far0", "netns", str(keeper.pid))
    ip("addr", "add", "198.51.100.1/24", "dev", "up0")
    ip("link", "set", "up0", "up")
    enter = ["nsenter", "-t", str(keeper.pid), "-n"]
    subprocess.run([*enter, "ip", "addr", "add", "198.51.100.2/24", "dev", "far0"], check=True)
    subprocess.run([*enter, "ip", "link", "set", "far0", "up"], check=True)
    server = subprocess.Popen([*enter, "/usr/bin/python3", "-c", SERVER], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "ready\n"
    yield server
    server.terminate()
    server.wait()
    server.stdout.close()
    keeper.stdin.close()
    keeper.wait()
    keeper.stdout.close()
    subprocess.run(["ip", "link", "del", "up0"], check=False, stderr=subprocess.DEVNULL)


def test_the_way_out_is_masqueraded(fleet, outside):
    started = fleet(HEAD + sleeper("a"))
    started.wait_event("start")
    subprocess.run(["nsenter", "-t", str(started.pid_of("demo-a-1")), "-n", "busybox", "nc", "198.51.100.2", "7"],
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=10)
    assert outside.stdout.readline() == "198.51.100.1\n"  # the outside sees the host, not the sandbox
    rules = subprocess.run(["nft", "list", "tables"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert rules.count("shoal_") == 1
    started.stop()
    assert "shoal_" not in subprocess.run(["nft", "list", "tables"], stdout=subprocess.PIPE, text=True, check=True).stdout


def test_a_subnet_of_the_host_is_refused(fleet, outside):
    started = fleet(HEAD + sleeper("a") + "networks: {default: {ipam: {config: [{subnet: 198.51.100.0/25}]}}}\n")
    result = started.wait()
    assert result.returncode == 1
    assert any("198.51.100.0/25" in line for line in result.messages)
    assert not result.events()


def test_a_restart_keeps_address_and_reach(fleet):
    text = HEAD + server("web", "    restart: always\n") + sleeper("client")
    started = fleet(text)
    started.wait_event("start", container="demo-client-1")
    started.wait_event("start", container="demo-web-1")
    assert wait_fetch(started, "demo-client-1", "web") == "demo-web-1"
    os.kill(started.pid_of("demo-web-1"), signal.SIGKILL)
    started.wait_event("start", container="demo-web-1", count=2)
    assert wait_fetch(started, "demo-client-1", "web") == "demo-web-1"
    started.stop()
