"""Who takes part in the comparison of whole lives. Each contender's turn() runs one sandbox after the other, or several at once,
and gives for each what was seen of it: from the decision to the first instruction inside, and to the end."""
import json
import os
import secrets
import subprocess
import time

import peers
from figures import Failure, check_markers, check_order
from fleet import Fleet, chain, service, when_usec
from goals import NOT_ASKED
from host import SHOAL, TOOLS


class Turn:
    """What one turn gave, in microseconds. starts: decision to execve, as the contender itself says (ours and the floor).
    inside: decision to the first instruction inside, by the marker. lives: decision to the end. cpu: of all its processes, the
    frame included."""

    def __init__(self):
        self.starts, self.inside, self.lives, self.markers = [], [], [], []
        self.cpu_usec = None

    def add(self, begin_usec, marker_usec, end_usec, start_usec=None):
        check_order(begin_usec, marker_usec, end_usec)
        self.markers.append(marker_usec)
        self.inside.append(marker_usec - begin_usec)
        self.lives.append(end_usec - begin_usec)
        if start_usec is not None:
            self.starts.append(start_usec)

    def cycle_usec(self):
        """From one sandbox's first instruction to the next one's, on average: by the markers alone, so that neither a contender nor
        the stopwatch has a say in it."""
        return (max(self.markers) - min(self.markers)) / (len(self.markers) - 1)


REST_SECONDS, REST_INTERVAL = "0.6", "100ms"


def new_nonce():
    return secrets.token_hex(8)


class Shoal:
    """A chain of services in one `shoal up`: each starts when the one before it has ended."""

    def __init__(self, host, name, does, network=True, x_service=None, x_fleet=None, per_turn=20, prove=None):
        """prove: given the fleet's records and how many sandboxes there are, a complaint when the starts were not of this kind."""
        self.host, self.name, self.does, self.per_turn = host, name, does, per_turn
        self.network, self.x_service, self.x_fleet, self.prove = network, x_service, x_fleet, prove

    def version(self):
        return subprocess.run([SHOAL, "version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    def set_up(self):
        pass

    def turn(self, count):
        nonce, turn = new_nonce(), Turn()
        # the rest before the chain is the pools' chance to fill, and the same for every kind of start
        services = {"rest": service(self.host, ["/bin/busybox", "sleep", REST_SECONDS], network=self.network),
                    **chain(self.host, nonce, count, after="rest", network=self.network, x_shoal=self.x_service)}
        fleet = Fleet(self.host, self.name.replace(" ", "-"), services, x_shoal=self.x_fleet, interval=REST_INTERVAL)
        fleet.wait()
        complaint = self.prove(fleet.records, count) if self.prove else None
        if complaint:
            raise Failure(f"{self.name}: {complaint}")
        markers = check_markers(fleet.said("life"), nonce, count)
        starts = {record["service"]: record for record in fleet.events("start")}
        for record in fleet.events("die"):
            if record["service"] == "rest":
                continue
            if record["exitCode"] != 0:
                raise Failure(f"{self.name}: {record['container']} ended with {record['exitCode']}")
            start = starts[record["service"]]
            begin = when_usec(start) - start["took_usec"]
            number = int(record["service"].removeprefix("life"))
            turn.add(begin, markers[number], when_usec(record), start["took_usec"])
        if len(turn.lives) != count:
            raise Failure(f"{self.name}: {len(turn.lives)} of {count} sandboxes ended")
        turn.cpu_usec = fleet.cpu_usec
        fleet.forget_logs()
        return turn

    def many(self, count, in_flight):
        """One service of count sandboxes; microseconds from the first decision until nothing is left of the last."""
        nonce = new_nonce()
        command = ["/marker", f"{nonce}-0", "/bin/busybox", "true"]
        fleet = Fleet(self.host, self.name.replace(" ", "-"),
                      {"many": service(self.host, command, network=self.network, x_shoal=self.x_service, scale=count)},
                      x_shoal={"starts_in_flight": in_flight, **(self.x_fleet or {})}, live=True)
        gone = 0

        def is_last(record):
            nonlocal gone
            gone += record.get("event") == "destroy"
            return gone == count
        fleet.until(is_last)
        self.host.wait(lambda: fleet.count_sandboxes() == 0, "the end of cgroups and layers")
        self.host.wait_for_namespaces()
        clean = time.time_ns() // 1000
        fleet.wait()
        said = fleet.said()
        if len(said) != count or any(line.partition(" ")[0] != f"{nonce}-0" for line in said):
            raise Failure(f"{self.name}: {len(said)} markers of {count} sandboxes")
        fleet.forget_logs()
        return clean - min(when_usec(record) - record["took_usec"] for record in fleet.events("start"))

    def tear_down(self):
        pass


class Floor:
    """The bare system calls."""
    per_turn = 20

    def __init__(self, host, name, does, network):
        self.host, self.name, self.does, self.network = host, name, does, network
        self.cgroup, self.first = host.cgroup(name.replace(" ", "-"))
        self.work = os.path.join(host.folder, name.replace(" ", "-"))
        os.makedirs(self.work, mode=0o711, exist_ok=True)

    def version(self):
        return ""

    def set_up(self):
        pass

    def spawn(self, first, count, nonce, *more):
        return self.host.spawn([os.path.join(TOOLS, "floor"), str(first), str(count), nonce, self.host.root, self.work, self.cgroup,
                                str(self.host.bridge if self.network else 0), *more], self.first,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def collect(self, processes, count, nonce):
        """Their records, and their markers in order."""
        lines = []
        for process in processes:
            out, messages = process.communicate()
            if process.returncode != 0:
                raise Failure(f"floor: {messages.strip()}")
            lines += out.splitlines()
        markers = check_markers([line for line in lines if not line.startswith("{")], nonce, count)
        return [json.loads(line) for line in lines if line.startswith("{")], markers

    def turn(self, count):
        nonce, turn = new_nonce(), Turn()
        before = self.host.cpu_usec(self.cgroup)
        records, markers = self.collect([self.spawn(0, count, nonce)], count, nonce)
        for number, record in enumerate(records):
            begin = record["begin_usec"]
            turn.add(begin, markers[number], begin + record["life_usec"], record["exec_usec"])
        turn.cpu_usec = self.host.cpu_usec(self.cgroup) - before
        return turn

    def many(self, count, in_flight):
        """So many at a time are so many of them at once."""
        nonce, each = new_nonce(), count // in_flight
        processes = [self.spawn(number * each, each, nonce) for number in range(in_flight)]
        records, _ = self.collect(processes, each * in_flight, nonce)
        self.host.wait_for_namespaces()
        return time.time_ns() / 1000 - min(record["begin_usec"] for record in records)

    def kill(self, count):
        """Microseconds from kill to the pidfd, of so many."""
        nonce = new_nonce()
        return [record["kill_usec"] for record in self.collect([self.spawn(0, count, nonce, "kill")], count, nonce)[0]]

    def tear_down(self):
        pass


class Command:
    """A program that is started once for each sandbox, by the stopwatch."""

    def watch(self, argv, count, in_flight):
        """Runs it count times: the stopwatch's records, and the CPU time of all."""
        before = self.host.cpu_usec(self.cgroup)
        process = self.host.spawn([os.path.join(TOOLS, "stopwatch"), str(count), str(in_flight), *argv], self.first,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        out, messages = process.communicate()
        records = [json.loads(line) for line in out.splitlines()]
        bad = [record for record in records if record["status"] != 0]
        if process.returncode != 0 or len(records) != count or bad:
            said = messages.strip().splitlines() or [f"status {bad[0]['status'] if bad else process.returncode}"]
            raise Failure(said[-1][:300])
        return records, self.host.cpu_usec(self.cgroup) - before

    def measure(self, argv, nonce, count, said=None):
        turn = Turn()
        records, turn.cpu_usec = self.watch(argv, count, 1)
        markers = check_markers(said() if said else [record["out"] for record in records], nonce, count)
        for record in records:
            turn.add(record["begin_nsec"] / 1000, markers[record["n"]], record["end_nsec"] / 1000)
        return turn


class OneShot(Command):
    """`shoal up` as one starts `crun run`: the whole program for one sandbox."""
    name = "shoal up"
    per_turn = 5
    does = "the whole program each time: file, checks, bridge, firewall table, one sandbox with everything, all taken away"

    def __init__(self, host):
        self.host = host
        self.cgroup, self.first = host.cgroup("shoal-up", delegated=True)
        self.folder = os.path.join(host.folder, "shoal-up")
        os.makedirs(self.folder, mode=0o711, exist_ok=True)

    def version(self):
        return ""

    def set_up(self):
        pass

    def turn(self, count):
        nonce = new_nonce()
        for number in range(count):
            services = {"life": service(self.host, ["/marker", f"{nonce}-{number}", "/bin/busybox", "true"])}
            with open(f"{self.folder}/{number}.yaml", "w") as out:
                json.dump({"name": f"one{number}", "x-shoal": {"degrade": True}, "services": services}, out)
        root = os.path.join(self.folder, "root")
        argv = [SHOAL, "up", "-f", self.folder + "/{n}.yaml", "--metrics", "off", "--root", root,
                "--run", os.path.join(self.host.state, "run-shoal-up")]

        def said():
            lines = []
            for number in range(count):
                path = f"{root}/logs/one{number}/one{number}-life-1-json.log"
                with open(path) as records:
                    lines.append(json.loads(records.readline())["log"].rstrip("\n"))
                os.unlink(path)
            return lines
        return self.measure(argv, nonce, count, said)

    def tear_down(self):
        pass


class PeerContender(Command):
    def __init__(self, peer):
        self.peer, self.host = peer, peer.host
        self.name, self.does, self.per_turn = peer.name, peer.does, peer.per_turn
        self.cgroup, self.first = peer.cgroup, peer.first

    def version(self):
        return self.peer.version()

    def set_up(self):
        self.peer.set_up()

    def turn(self, count):
        nonce = new_nonce()
        self.peer.prepare(nonce, count)
        return self.measure(self.peer.argv(nonce), nonce, count)

    def many(self, count, in_flight):
        nonce = new_nonce()
        self.peer.prepare(nonce, count)
        records, _ = self.watch(self.peer.argv(nonce), count, in_flight)
        check_markers([record["out"] for record in records], nonce, count)
        self.host.wait_for_namespaces()
        return time.time_ns() / 1000 - min(record["begin_nsec"] for record in records) / 1000

    def tear_down(self):
        self.peer.tear_down()


def find_peers(host, wanted):
    """Contenders for the wanted peers ("all" or a list of names), and why the others take no part."""
    found, left_out = [], {}
    for kind in peers.PEERS:
        if wanted != ["all"] and kind.name not in wanted:
            left_out[kind.name] = NOT_ASKED
            continue
        try:
            found.append(PeerContender(kind(host)))
        except Failure as error:
            left_out[kind.name] = str(error)
    return found, left_out
