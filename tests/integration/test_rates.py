"""x-shoal.net: rates of links, measured by iperf3 between a sandbox and a network namespace beyond the host, and the kernel's own
words about them. In bits a second, as iperf3 counts: what the program sent, without headers."""
import json
import os
import shutil
import subprocess

import pytest

import shoal

HEAD = "name: demo\nx-shoal: {degrade: true%s}\nservices:\n"
TOLERANCE = 0.10
SECONDS = 4

pytestmark = pytest.mark.skipif(shutil.which("iperf3") is None, reason="no iperf3: deps/install --test")


def service(name, net="", extra=""):
    x = f"    x-shoal: {{net: {net}}}\n" if net else ""
    return f"  {name}:\n    image: builtin:busybox\n    command: [sleep, '1000']\n{x}{extra}"


def enter(started, container):
    """The container's network namespace: what a program sends there is what the container sends."""
    return ["nsenter", "-t", str(started.pid_of(container)), "-n"]


def tc(*words, ns=()):
    return json.loads(subprocess.run([*ns, "tc", "-s", "-j", *words], stdout=subprocess.PIPE, check=True).stdout or "[]")


def links(*words):
    return json.loads(subprocess.run(["ip", "-j", "-d", "link", "show", *words], stdout=subprocess.PIPE, check=True).stdout or "[]")


@pytest.fixture
def outside(clean_machine):
    """A namespace beyond the host's: a program in it sees sandboxes through the host's routing alone."""
    holder = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
    way = ["nsenter", "-t", str(holder.pid), "-n"]
    own = os.readlink("/proc/self/ns/net")
    shoal.wait_for(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != own, what="a network namespace")
    for command in (f"ip link add beyond0 type veth peer name eth0 netns {holder.pid}", "ip addr add 192.168.77.1/24 dev beyond0",
                    "ip link set beyond0 up"):
        subprocess.run(command.split(), check=True)
    for command in ("ip addr add 192.168.77.2/24 dev eth0", "ip link set eth0 up", "ip route add default via 192.168.77.1"):
        subprocess.run([*way, *command.split()], check=True)
    server = subprocess.Popen([*way, "iperf3", "-s"], stdout=subprocess.DEVNULL)
    yield "192.168.77.2"
    server.kill()
    server.wait()
    subprocess.run("ip link del beyond0".split(), check=True)
    holder.kill()
    holder.wait()


def measure(started, container, server, *words):
    """What comes through from the container to the server; with -R what comes back."""
    def attempt():
        ran = subprocess.run([*enter(started, container), "iperf3", "-J", "-c", server, "-t", str(SECONDS), "-O", "1",
                              "--connect-timeout", "2000", *words], stdout=subprocess.PIPE, text=True,
                             timeout=(SECONDS + 10) * shoal.SCALE, check=False)
        said = json.loads(ran.stdout or "{}")
        return said if "end" in said and not said.get("error") else None
    return shoal.wait_for(attempt, what="iperf3 to come through")["end"]["sum_received"]["bits_per_second"]


def assert_near(measured, wanted):
    # a frame of 1514 bytes carries 1448 of TCP: what the program sees is that much less
    wanted *= 1448 / 1514
    assert abs(measured - wanted) <= TOLERANCE * wanted, f"{measured / 1e6:.2f} of {wanted / 1e6:.2f} Mbit/s"


@pytest.mark.parametrize("egress, ingress", [("10mbit", "50mbit"), ("200mbit", "2mbit")])
def test_both_directions(fleet, outside, egress, ingress):
    started = fleet(HEAD % "" + service("a", f"{{egress: {egress}, ingress: {ingress}}}"))
    started.wait_event("start")
    assert_near(measure(started, "demo-a-1", outside), float(egress[:-4]) * 1e6)
    assert_near(measure(started, "demo-a-1", outside, "-R"), float(ingress[:-4]) * 1e6)
    started.stop()


def test_between_sandboxes(fleet):
    """Each keeps its own rate; who has none is not slowed down and has no qdisc."""
    started = fleet(HEAD % "" + service("slow", "{egress: 20mbit}") + service("free") + service("other"))
    for name in ("slow", "free", "other"):
        started.wait_event("start", container=f"demo-{name}-1")
    server = subprocess.Popen([*enter(started, "demo-free-1"), "iperf3", "-s"], stdout=subprocess.DEVNULL)
    free = started.wait_event("connect", container="demo-free-1")["address"]
    assert_near(measure(started, "demo-slow-1", free), 20e6)
    assert measure(started, "demo-slow-1", free, "-R") > 100e6  # only what it sends is limited
    assert measure(started, "demo-other-1", free) > 100e6
    server.kill()
    server.wait()
    started.stop()


def test_many_streams_and_udp(fleet, outside):
    started = fleet(HEAD % "" + service("a", "{egress: 30mbit, ingress: 30mbit}"))
    started.wait_event("start")
    assert_near(measure(started, "demo-a-1", outside, "-P", "8"), 30e6)
    udp = measure(started, "demo-a-1", outside, "-R", "-u", "-b", "100M", "-l", "1400")
    assert abs(udp - 30e6 * 1400 / 1442) <= TOLERANCE * 30e6
    started.stop()


def test_what_the_kernel_has(fleet):
    started = fleet(HEAD % ", pool: 2" + service("a", "{egress: 10mbit, ingress: 50mbit}") + service("b", "{ingress: 1gbit}") +
                    service("c"))
    for name in "abc":
        started.wait_event("start", container=f"demo-{name}-1")
    ifbs = [link["ifname"] for link in links("type", "ifb")]
    assert len(ifbs) == 1  # for what a sends; b's link sends to it alone
    by_rate = {}
    for qdisc in tc("qdisc"):
        if qdisc["kind"] == "tbf":
            by_rate.setdefault(qdisc["options"]["rate"], []).append(qdisc["dev"])
    assert set(by_rate) == {10_000_000 // 8, 50_000_000 // 8, 1_000_000_000 // 8}
    assert by_rate[10_000_000 // 8] == ifbs
    assert [q["dev"] for q in tc("qdisc") if q["kind"] == "ingress"] == by_rate[50_000_000 // 8]
    inside = tc("qdisc", ns=enter(started, "demo-a-1"))
    assert not [q for q in inside if q["kind"] not in ("noqueue", "pfifo_fast", "mq")]
    started.stop()
    assert not links("type", "ifb")


def test_a_sandbox_cannot_undo_it(fleet, outside):
    """With NET_ADMIN in its own namespace it may take away every qdisc that it sees."""
    started = fleet(HEAD % "" + service("a", "{egress: 10mbit}", "    cap_add: [NET_ADMIN]\n"))
    started.wait_event("start")
    ns = enter(started, "demo-a-1")
    subprocess.run([*ns, "tc", "qdisc", "replace", "dev", "eth0", "root", "pfifo"], check=True)
    subprocess.run([*ns, "tc", "qdisc", "del", "dev", "eth0", "root"], check=True)
    subprocess.run([*ns, "ip", "link", "set", "eth0", "txqueuelen", "10000"], check=True)
    assert_near(measure(started, "demo-a-1", outside), 10e6)
    started.stop()


def test_it_holds_again_after_a_restart(fleet, outside):
    started = fleet(HEAD % "" + service("a", "{egress: 10mbit}", "    restart: always\n"))
    started.wait_event("start")
    before = [link["ifname"] for link in links("type", "ifb")]
    os.kill(started.pid_of("demo-a-1"), 9)
    started.wait_event("start", count=2)
    assert [link["ifname"] for link in links("type", "ifb")] == before
    assert_near(measure(started, "demo-a-1", outside), 10e6)
    started.kill()
    again = fleet(HEAD % "" + service("a", "{egress: 20mbit}"), folder=started.folder)
    again.wait_event("start", since=1)
    again.stop()
    assert not links("type", "ifb")
