"""One `shoal up`: the file it gets, the events it writes, what is left of it."""
import datetime
import fcntl
import glob
import json
import os
import queue
import signal
import subprocess
import threading
import time

from figures import Failure
from host import SHOAL

PROJECT = "bench"
PIPE_BYTES = 1 << 20
F_SETPIPE_SZ = 1031
LONG = "1000000"  # seconds: what a sleeper is told
SECONDS = 120


def when_usec(record):
    """The time that a record bears, in microseconds since the epoch."""
    if "time_usec" in record:
        return record["time_usec"]
    moment = datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00"))
    return int(moment.timestamp()) * 1000000 + moment.microsecond


def service(host, command, network=True, after=None, condition="service_completed_successfully", x_shoal=None, **more):
    """A service of a fleet file."""
    made = {"image": f"dir:{host.root}", "command": command, **more}
    if not network:
        made["network_mode"] = "none"
    if after:
        made["depends_on"] = {after: {"condition": condition}}
    if x_shoal:
        made["x-shoal"] = x_shoal
    return made


def chain(host, nonce, count, prefix="life", after=None, condition="service_completed_successfully", **more):
    """count services of one sandbox each, every one started when the one before it has ended: one life after the other."""
    services = {}
    for number in range(count):
        name = f"{prefix}{number:04d}"
        services[name] = service(host, ["/marker", f"{nonce}-{number}", "/bin/busybox", "true"], after=after,
                                 condition=condition, **more)
        after, condition = name, "service_completed_successfully"
    return services


class Fleet:
    """A fleet in its own cgroup. With live=True its records are read as they come, by a thread that notes when; otherwise the
    pipe is read when the program has ended, so that nobody else is awake while it is measured."""

    def __init__(self, host, name, services, x_shoal=None, networks=None, interval="1s", live=False, program=None):
        self.host = host
        self.services = services
        self.folder = os.path.join(host.folder, f"fleet-{name}")
        self.run_dir = os.path.join(host.state, f"run-{name}")
        os.makedirs(self.folder, mode=0o711, exist_ok=True)
        self.file = os.path.join(self.folder, "compose.yaml")
        document = {"name": PROJECT, "x-shoal": {"degrade": True, **(x_shoal or {})}, "services": services}
        if networks:
            document["networks"] = networks
        with open(self.file, "w") as out:
            json.dump(document, out)  # JSON is YAML
        self.root_dir = os.path.join(self.folder, "root")
        self.cgroup, first = host.cgroup(f"shoal-{name}", delegated=True)
        self.cpu_before = host.cpu_usec(self.cgroup)
        self.messages_file = os.path.join(self.folder, "stderr")
        command = (program + [self.file, self.root_dir, self.run_dir] if program else
                   [SHOAL, "up", "-f", self.file, "--root", self.root_dir, "--run", self.run_dir, "--interval", interval])
        with open(self.messages_file, "w") as messages:
            self.process = host.spawn(command, first, stdout=subprocess.PIPE, stderr=messages)
        fcntl.fcntl(self.process.stdout.fileno(), F_SETPIPE_SZ, PIPE_BYTES)
        self.records = []
        self._arrived = queue.Queue()
        self._reader = None
        if live:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._arrived.put((time.time_ns() // 1000, line))
        self._arrived.put(None)

    def messages(self):
        with open(self.messages_file, errors="replace") as text:
            return text.read()

    def _take(self, line):
        record = json.loads(line)
        self.records.append(record)
        if record["type"] == "gap":
            raise Failure(f"events were lost: {record}")
        return record

    def next(self, seconds=SECONDS):
        """The next record (live): with seen_usec, when we read it. None at the end."""
        try:
            arrived = self._arrived.get(timeout=seconds)
        except queue.Empty:
            raise Failure(f"shoal said nothing for {seconds} s; its messages end with: {self.messages()[-400:]}") from None
        if arrived is None:
            return None
        record = self._take(arrived[1])
        record["seen_usec"] = arrived[0]
        return record

    def until(self, accept, seconds=SECONDS):
        """Read records (live) until one is accepted: that one."""
        end = time.monotonic() + seconds
        while True:
            if time.monotonic() > end:
                raise Failure(f"what was waited for did not come in {seconds} s; the last record: {self.records[-1]}")
            record = self.next()
            if record is None:
                raise Failure(f"shoal ended too early: {self.messages()[-600:]}")
            if record.get("event") == "die" and record.get("cause") == "failed":
                raise Failure(f"{record['container']} did not start: {record.get('error')}")
            if accept(record):
                return record

    def until_started(self, count):
        """Until count start events in all have been read: the last of them."""
        started = len(self.events("start"))

        def accept(record):
            nonlocal started
            started += record.get("event") == "start"
            return started >= count
        return self.until(accept)

    def wait(self, seconds=SECONDS):
        """Wait for the program's end; then every record is there."""
        if self._reader is None:
            waker = threading.Timer(seconds, self.process.kill)
            waker.start()
            self.process.wait()  # it fits into the pipe, or else the next line goes on reading
            for line in self.process.stdout:
                self._take(line)
            waker.cancel()
        else:
            while self.next() is not None:
                pass
            self.process.wait()
        self.process.stdout.close()
        self.cpu_usec = self.host.cpu_usec(self.cgroup) - self.cpu_before
        for record in self.records:
            if record["type"] == "supervisor":
                self.host.note_stall(record.get("loop_lag_usec", {}).get("max"))
        if self.process.returncode != 0:
            raise Failure(f"shoal ended with {self.process.returncode}: {self.messages()[-600:]}")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.wait()

    def stall_usec(self):
        """The longest turn of its loop that it told of."""
        return max((record["loop_lag_usec"]["max"] for record in self.records
                    if record["type"] == "supervisor" and "max" in record.get("loop_lag_usec", {})), default=None)

    def events(self, event):
        return [record for record in self.records if record.get("event") == event]

    def said(self, service_prefix=""):
        """The first line of every container's log."""
        lines = []
        for path in sorted(glob.glob(f"{self.root_dir}/logs/{PROJECT}/{PROJECT}-{service_prefix}*-json.log")):
            with open(path) as records:
                first = records.readline()
            if first:
                lines.append(json.loads(first)["log"].rstrip("\n"))
        return lines

    def forget_logs(self):
        for path in glob.glob(f"{self.root_dir}/logs/{PROJECT}/*"):
            os.unlink(path)

    def cgroup_of(self, container):
        return os.path.join(self.cgroup, "shoal", PROJECT, container)

    def count_sandboxes(self):
        """Cgroups and writable layers of sandboxes that are still there."""
        inside = os.path.join(self.cgroup, "shoal", PROJECT)
        try:
            cgroups = [entry for entry in os.scandir(inside) if entry.is_dir()]
        except FileNotFoundError:  # gone, perhaps while we looked
            cgroups = []
        return len(cgroups) + len(glob.glob(f"{self.root_dir}/containers/{PROJECT}/*"))


def knows(host, x_service=None, x_fleet=None):
    """Whether this shoal knows these x-shoal keys. It refuses a file with a key that it does not know."""
    fleet = Fleet(host, "probe", {"probe": service(host, ["/bin/true"], network=False, x_shoal=x_service)}, x_shoal=x_fleet)
    try:
        fleet.wait()
        return True
    except Failure:
        if fleet.process.returncode == 2 and "unknown key" in fleet.messages():
            return False
        raise
