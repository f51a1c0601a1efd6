"""The program under test, seen from outside: a fleet that runs, its events, a look inside a sandbox.

Nothing here sleeps for a fixed time: wait_for() polls until a deadline. SHOAL_TIME_SCALE stretches every deadline (the
emulated guest is an order of magnitude slower).
"""
import glob
import json
import os
import re
import signal
import subprocess
import threading
import time

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("SHOAL_BIN", os.path.join(REPO, "build/shoal"))
FAULTS_BIN = os.environ.get("SHOAL_FAULTS_BIN", os.path.join(REPO, "build-faults/shoal"))
SCALE = float(os.environ.get("SHOAL_TIME_SCALE", "1"))


def wait_for(condition, timeout=10.0, what="the condition"):
    """Poll condition until it gives something true; returns that. AssertionError with `what` after timeout seconds."""
    end = time.monotonic() + timeout * SCALE
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"not within {timeout * SCALE:g} s: {what() if callable(what) else what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def run(*arguments, program=None, timeout=30.0, **options):
    """Run shoal to its end: a CompletedProcess with text stdout and stderr."""
    return subprocess.run([program or BIN, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout * SCALE, check=False, **options)


def cgroup_mount():
    """Where cgroup v2 is mounted, None where it is not."""
    with open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            before, _, after = line.partition(" - ")
            if after.startswith("cgroup2 "):
                return before.split()[4]
    return None


def controllers():
    """The cgroup v2 controllers of this machine."""
    mount = cgroup_mount()
    if mount is None:
        return set()
    with open(os.path.join(mount, "cgroup.controllers")) as names:
        return set(names.read().split())


def matches(record, wanted):
    return all(record.get(key) == value for key, value in wanted.items())


class Result:
    """How a fleet ended."""

    def __init__(self, returncode, records, messages):
        self.returncode = returncode
        self.records = records
        self.messages = messages

    def events(self, event=None, **wanted):
        if event is not None:
            wanted["event"] = event
        return [r for r in self.records if r.get("type") == "event" and matches(r, wanted)]


class Fleet:
    """One `shoal up` of a compose text, in folders of its own."""

    def __init__(self, folder, text, *options, program=None, environ=None, name="compose.yaml", stdin=subprocess.DEVNULL):
        self.folder = str(folder)
        self.file = os.path.join(self.folder, name)
        self.root = os.path.join(self.folder, "root")
        self.run_dir = os.path.join(self.folder, "run")
        self.records = []   # what stdout said, in order
        self.garbage = []   # stdout lines that are no JSON object
        self.messages = []  # lines of stderr
        self._news = threading.Condition()
        with open(self.file, "w") as out:
            out.write(text)
        self.command = [program or BIN, "up", "-f", self.file, "--root", self.root, "--run", self.run_dir, *map(str, options)]
        self.process = subprocess.Popen(self.command, cwd=self.folder, stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, errors="replace",
                                        env={**os.environ, **(environ or {})}, start_new_session=True)
        self._readers = [threading.Thread(target=self._read, args=(self.process.stdout, self._take_record), daemon=True),
                         threading.Thread(target=self._read, args=(self.process.stderr, self._take_message), daemon=True)]
        for reader in self._readers:
            reader.start()

    def _read(self, stream, take):
        for line in stream:
            with self._news:
                take(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _take_record(self, line):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            self.records.append(record)
        else:
            self.garbage.append(line)

    def _take_message(self, line):
        self.messages.append(line)

    def _wait(self, find, timeout, what):
        """find() under the lock, until it gives something; ends early when the program has ended and said all."""
        end = time.monotonic() + timeout * SCALE
        with self._news:
            while True:
                found = find()
                if found:
                    return found
                left = end - time.monotonic()
                ended = not any(reader.is_alive() for reader in self._readers)
                if ended:
                    self.process.wait(10 * SCALE)  # its streams end a moment before it does
                if left <= 0 or ended:
                    why = f"shoal ended with {self.process.poll()}" if ended else f"not within {timeout * SCALE:g} s"
                    last = "\n".join([json.dumps(r) for r in self.records[-8:]] + self.messages[-8:])
                    raise AssertionError(f"{what}: {why}\n{last}")
                self._news.wait(min(left, 0.2))

    # ---- what it says

    def mark(self):
        """A place in the stream, for since=."""
        with self._news:
            return len(self.records)

    def events(self, event=None, since=0, **wanted):
        if event is not None:
            wanted["event"] = event
        with self._news:
            return [r for r in self.records[since:] if r.get("type") == "event" and matches(r, wanted)]

    def wait_event(self, event, timeout=10.0, since=0, count=1, **wanted):
        """The first event of that kind with those members, or the count-th; it may have come before."""
        def find():
            found = [r for r in self.records[since:]
                     if r.get("type") == "event" and r.get("event") == event and matches(r, wanted)]
            return found[count - 1] if len(found) >= count else None
        return self._wait(find, timeout, f"event {event} {wanted or ''} (number {count})")

    def wait_record(self, kind, timeout=10.0, since=0, check=None, **wanted):
        """The first record of type kind ("container", "fleet", "supervisor") that check(record) accepts."""
        def find():
            return next((r for r in self.records[since:] if r.get("type") == kind and matches(r, wanted)
                         and (check is None or check(r))), None)
        return self._wait(find, timeout, f"record {kind} {wanted or ''}")

    def wait_message(self, pattern, timeout=10.0):
        """The first line of stderr in which the pattern is found: its match."""
        def find():
            return next((m for m in (re.search(pattern, line) for line in self.messages) if m), None)
        return self._wait(find, timeout, f"message /{pattern}/")

    # ---- its sandboxes

    def pid_of(self, container):
        """The pid of the container's first process, on this machine; None when it does not run."""
        pid = None
        for record in self.events(container=container):
            if record["event"] in ("start", "restart") and record.get("pid"):
                pid = record["pid"]
            elif record["event"] == "die":
                pid = None
        return pid

    def inside(self, container, *command, timeout=20.0):
        """Run command in every namespace of the container, as its root: a CompletedProcess. It looks, it is no member:
        neither the cgroup nor the seccomp program, nor the capabilities are the container's."""
        pid = self.pid_of(container)
        assert pid, f"{container} does not run"
        return subprocess.run(["nsenter", "--target", str(pid), "--all", "--", *map(str, command)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=timeout * SCALE, check=False)

    def cgroup_of(self, container):
        """The absolute path of the container's cgroup v2 directory."""
        with open(f"/proc/{self.pid_of(container)}/cgroup") as lines:
            for line in lines:
                if line.startswith("0::"):
                    return cgroup_mount() + line.strip()[3:]
        raise AssertionError(f"{container}: no cgroup v2")

    def log_records(self, container):
        """The container's json-file log, parsed: [{"log", "stream", "time"}], oldest first; [] when there is none."""
        records = []
        for path in sorted(glob.glob(f"{self.root}/logs/*/{container}-json.log*"), key=os.path.getmtime):
            with open(path, errors="replace") as lines:
                records += [json.loads(line) for line in lines]
        return records

    # ---- its end

    @property
    def running(self):
        return self.process.poll() is None

    def send(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=30.0):
        """Wait for the program's own end: a Result."""
        self.process.wait(timeout * SCALE)
        for reader in self._readers:
            reader.join(10 * SCALE)
        assert not self.garbage, f"stdout carried something beside JSON objects: {self.garbage[:3]}"
        return Result(self.process.returncode, self.records, self.messages)

    def stop(self, number=signal.SIGINT, timeout=30.0):
        """Ask it to take the fleet down and wait: a Result."""
        self.process.send_signal(number)
        return self.wait(timeout)

    def kill(self):
        """kill -9 of the supervisor: what a crash is. Its sandboxes are left as they are."""
        self.process.kill()
        return self.wait()

    def clean_up(self):
        """End whatever a failed test left running, as far as it goes; the machine is compared afterwards."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            self.process.send_signal(number)
            try:
                self.process.wait(5 * SCALE)
            except subprocess.TimeoutExpired:
                pass
        for reader in self._readers:
            reader.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
