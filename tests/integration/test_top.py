"""shoal top on a terminal of its own: what stands on the screen, what keys do, how it takes bad streams and its own end."""
import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest

import shoal

pyte = pytest.importorskip("pyte", reason="python3-pyte")

UP, DOWN, END, NEXT_PAGE = b"\x1b[A", b"\x1b[B", b"\x1b[4~", b"\x1b[6~"


def record(kind, second, **more):
    return json.dumps({"time": f"2026-01-31T12:00:{second:02}.000000Z", "type": kind, "project": "demo", **more}) + "\n"


def sample(service, number, second, cpu, memory=1 << 20, **more):
    return record("container", second, service=service, container=f"demo-{service}-{number}", state="running",
                  cpu={"usage_usec": int(cpu * 1e6)}, memory={"current": memory, "max": 4 << 20},
                  net={"rx_bytes": 1000 * second, "tx_bytes": 0}, io={"rbytes": 0, "wbytes": 2048 * second},
                  pressure={name: {"some_avg10": 33.0 if name == "io" else 0} for name in ("cpu", "memory", "io")}, **more)


def rounds(services, seconds=3):
    """Samples of {service: replicas}: number n uses n percent of a CPU."""
    text = ""
    for second in range(seconds):
        for service, count in services.items():
            for number in range(1, count + 1):
                text += sample(service, number, second, second * number / 100)
        text += record("fleet", second, running=sum(services.values()), starts=sum(services.values()), deaths=0)
        text += record("supervisor", second, rss=12 << 20, fds=40, loop_lag_usec={"p50": 1, "p99": 1100, "max": 1500})
    return text


class Terminal:
    """A program on a pseudo-terminal, and what its user sees."""

    def __init__(self, *command, columns=80, lines=24, stdin=None):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.master, slave = pty.openpty()
        self.set_size(columns, lines)

        def prepare():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        # pyte is a terminal of the kind that Linux's console is
        environ = {**os.environ, "TERM": "linux", "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(command, stdin=slave if stdin is None else stdin, stdout=slave, stderr=slave,
                                        preexec_fn=prepare, env=environ)
        os.close(slave)

    def set_size(self, columns, lines):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        self.screen.resize(lines, columns)
        self.set_size(columns, lines)

    def press(self, keys):
        os.write(self.master, keys)

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.stream.feed(os.read(self.master, 1 << 16))
            except OSError:
                time.sleep(0.01)  # the other end is closed

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def wait(self, check, timeout=10):
        """Until check(lines) gives something true; returns that."""
        end = time.monotonic() + timeout * shoal.SCALE
        while True:
            found = check(self.lines())
            if found:
                return found
            assert time.monotonic() < end, "not on the screen:\n" + "\n".join(self.lines())
            self.read(0.05)

    def wait_text(self, text, timeout=10):
        return self.wait(lambda lines: any(text in line for line in lines), timeout)

    def end(self, timeout=10):
        """Its exit status."""
        end = time.monotonic() + timeout * shoal.SCALE
        while self.process.poll() is None:
            assert time.monotonic() < end, "it does not end"
            self.read(0.05)
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal():
    opened = []

    def start(*arguments, **keywords):
        opened.append(Terminal(shoal.BIN, "top", *map(str, arguments), **keywords))
        return opened[-1]
    yield start
    for one in opened:
        one.close()


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "stream"
    path.write_text(rounds({"web": 3, "db": 1}) +
                    record("event", 4, event="die", service="web", container="demo-web-2", cause="oom"))
    return path


def row(lines, name):
    return next((line for line in lines if name in line.split()), None)


def test_what_stands_on_80x24(terminal, small):
    shown = terminal(small)
    # the screen is drawn from the top: when its end stands, all of it does
    shown.wait(lambda lines: lines[22] == "12:00:04 die demo-web-2 (oom)" and lines[23].startswith("F1Help"))
    lines = shown.lines()
    assert lines[0].startswith("shoal top  3 running of 4  starts 4") and lines[0].endswith("12:00:04Z")
    assert lines[3].split() == ["NAME", "STATE", "CPU%", "CPU", "MEM", "NET/s", "IO/s", "PRES", "RST"]
    assert "loop p99 1.1 max 1.5 ms" in lines[2]
    cells = row(lines, "demo-web-3").split()
    assert cells[:3] == ["demo-web-3", "running", "3.0"] and cells[4:] == ["1.0M", "1.0K", "2.0K", "i33", "0"]
    assert row(lines, "demo-web-2").split()[1] == "exited"
    assert lines[4].split()[:3] == ["-", "demo", "3/4"]
    assert all(len(line) <= 80 for line in lines)
    shown.press(b"q")
    assert shown.end() == 0


def names(lines):
    return [word for line in lines[4:-2] for word in line.split() if word.startswith("demo-")]


def test_keys(terminal, small):
    shown = terminal(small)
    shown.wait_text("demo-web-3")
    shown.wait(lambda lines: names(lines) == ["demo-web-3", "demo-web-1", "demo-web-2", "demo-db-1"])  # by cpu
    shown.press(b"N")
    shown.wait(lambda lines: names(lines) == ["demo-db-1", "demo-web-1", "demo-web-2", "demo-web-3"])
    shown.press(b"I")
    shown.wait(lambda lines: names(lines) == ["demo-web-3", "demo-web-2", "demo-web-1", "demo-db-1"])
    shown.press(b"I*")
    shown.wait(lambda lines: names(lines) == [] and row(lines, "web"))
    shown.press(b"*t")
    shown.wait(lambda lines: names(lines) == ["demo-db-1", "demo-web-1", "demo-web-2", "demo-web-3"] and not row(lines, "web"))
    shown.press(b"a")
    shown.wait(lambda lines: names(lines) == ["demo-db-1", "demo-web-1", "demo-web-3"])
    shown.press(b"\\web-3\r")
    shown.wait(lambda lines: names(lines) == ["demo-web-3"])
    shown.press(b"\\\x1b")
    shown.wait(lambda lines: len(names(lines)) == 3)
    shown.press(b"h")
    shown.wait_text("any key goes back")
    shown.press(b" ")
    shown.wait(lambda lines: lines[23].startswith("F1Help"))
    shown.press(b"/web-3")
    shown.wait_text("Search: web-3")
    shown.press(b"\rq")
    assert shown.end() == 0


def test_a_thousand(terminal, tmp_path):
    path = tmp_path / "stream"
    path.write_text(rounds({"web": 900, "db": 100}))
    shown = terminal(path)
    shown.wait_text("1000 running of 1000")
    shown.wait(lambda lines: names(lines)[:1] == ["demo-web-900"])  # nine CPUs
    shown.press(b"Nt")
    shown.wait(lambda lines: names(lines)[:1] == ["demo-db-1"])
    shown.press(END)
    shown.wait(lambda lines: names(lines) == [f"demo-web-{n}" for n in range(883, 901)])
    shown.press(b"g" + NEXT_PAGE + DOWN + UP)
    shown.wait(lambda lines: names(lines) == [f"demo-db-{n}" for n in range(3, 21)])
    shown.press(b"/web-777\r")
    shown.wait(lambda lines: "demo-web-777" in names(lines))


def test_sizes(terminal, small):
    shown = terminal(small, columns=200, lines=50)
    shown.wait(lambda lines: lines[3].split()[-2:] == ["TASKS", "RST"] and "RX/s" in lines[3])
    for columns, lines in [(80, 24), (20, 5), (1, 1), (300, 3), (120, 40)]:
        shown.resize(columns, lines)
        shown.press(b"j")
    shown.wait(lambda lines: len(lines) == 40 and "MEM%" in lines[3] and row(lines, "demo-web-3"))
    shown.press(b"q")
    assert shown.end() == 0


def test_a_stream_that_goes_on_and_ends(terminal, small):
    """A pipe as stdin: keys come from the terminal all the same; the last picture stays until q."""
    read_end, write_end = os.pipe()
    shown = terminal(stdin=read_end)
    os.close(read_end)
    text = small.read_bytes()
    os.write(write_end, text[:1000])  # ends in the middle of a line
    shown.wait_text("demo-web-1")
    os.write(write_end, text[1000:] + b"no record\n\xff\x00\n{\"type\":\n" + b"x" * 1000 + b"\n")
    shown.wait_text("bad lines 4")
    os.write(write_end, record("event", 5, event="start", service="new", container="demo-new-1", pid=1).encode())
    shown.wait_text("demo-new-1")
    os.close(write_end)
    shown.wait_text("end of stream")
    shown.wait(lambda lines: row(lines, "demo-web-3"))
    shown.press(b"q")
    assert shown.end() == 0


def test_a_file_that_grows(terminal, small):
    shown = terminal(small)
    shown.wait_text("demo-web-3")
    with open(small, "a") as out:
        out.write(record("event", 5, event="start", service="new", container="demo-new-1", pid=1))
    shown.wait_text("demo-new-1")


def test_the_writer_is_not_held_up(terminal):
    """While nobody looks at the terminal's output, the stream is read all the same."""
    read_end, write_end = os.pipe()
    shown = terminal(stdin=read_end)
    os.close(read_end)
    shown.wait_text("nothing was said")
    block = rounds({"web": 200}, seconds=2).encode()
    for _ in range(40):  # far more than the pipe holds; the terminal takes what is drawn
        view = memoryview(block)
        while view:
            view = view[os.write(write_end, view):]
            shown.read(0)
    shown.wait_text("200 running of 200")
    os.close(write_end)


def test_a_socket(terminal, small, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        shown = terminal(path)
        client, _ = server.accept()
        with client:
            client.sendall(small.read_bytes())
            shown.wait_text("demo-web-3")
        shown.wait_text("end of stream")


def test_a_terminal_that_goes_away(terminal, small):
    shown = terminal(small)
    shown.wait_text("demo-web-3")
    shown.process.send_signal(signal.SIGTERM)
    assert shown.end() is not None
    assert not any("demo-web-3" in line for line in shown.lines()) or shown.screen.cursor.y == 23  # the terminal is given back


def test_plain_table(small):
    done = shoal.run("top", small)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].split()[:2] == ["CONTAINER", "STATE"] and len(lines) == 5
    assert lines[1].split()[:5] == ["demo-db-1", "running", "1.0", "1.0M", "/"]
    assert [line.split()[0] for line in lines[1:]] == ["demo-db-1", "demo-web-1", "demo-web-2", "demo-web-3"]


def test_plain_table_of_a_stream_that_goes_on(small):
    """Two rounds are enough: it does not wait for the end."""
    with subprocess.Popen([shoal.BIN, "top"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as top:
        top.stdin.write(rounds({"web": 2}, seconds=2))
        top.stdin.flush()
        output = top.stdout.read()  # to its end, with our end of stdin still open
        assert "demo-web-2" in output and top.wait(10 * shoal.SCALE) == 0


@pytest.mark.parametrize("arguments, status, words", [
    (["/nowhere/stream"], 1, "No such file or directory"),
    (["a", "b"], 2, "one stream"),
    (["unix:/nowhere/socket"], 1, "/nowhere/socket"),
])
def test_bad_usage(arguments, status, words):
    done = shoal.run("top", *arguments)
    assert done.returncode == status and words in done.stderr and done.stdout == ""


def test_with_a_real_fleet(fleet_folder, clean_machine, terminal):
    """shoal up ... | shoal top"""
    file = fleet_folder / "compose.yaml"
    file.write_text("name: demo\nx-shoal: {degrade: true}\nservices:\n"
                    "  a: {image: 'builtin:busybox', network_mode: none, command: [sleep, '1000'], scale: 3}\n")
    read_end, write_end = os.pipe()
    up = subprocess.Popen([shoal.BIN, "up", "-f", file, "--root", fleet_folder / "root", "--run", fleet_folder / "run",
                           "--interval", "100ms"], stdin=subprocess.DEVNULL, stdout=write_end, stderr=subprocess.DEVNULL)
    os.close(write_end)
    shown = terminal(stdin=read_end)
    os.close(read_end)
    try:
        shown.wait_text("3 running of 3", timeout=20)
        up.send_signal(signal.SIGINT)
        shown.wait_text("end of stream", timeout=20)
    finally:
        if up.poll() is None:
            up.send_signal(signal.SIGTERM)
        assert up.wait(30 * shoal.SCALE) == 0
    shown.press(b"q")
    assert shown.end() == 0
