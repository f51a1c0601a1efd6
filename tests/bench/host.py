"""The machine under the benchmark: namespaces and folders of its own, one cgroup for each contender, priorities, a way to see
that the kernel is done with what came before, and what the machine is."""
import ctypes
import os
import platform
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time

from figures import Failure

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(REPO, os.environ.get("BUILD", "build"))  # may be absolute
SHOAL = os.path.join(BUILD, "shoal")
TOOLS = os.path.join(BUILD, "bench")
CGROUPS = "/sys/fs/cgroup"
FIRST_ID, IDS = 0x60000000, 65536  # of the peers' user namespaces; not among those that shoal takes
CLONE_NEWNET = 0x40000000
BRIDGE_NET = "10.200.0.1/16"
CLEAN_SECONDS = 60


def read(path, default=""):
    try:
        with open(path, errors="replace") as text:
            return text.read()
    except OSError:
        return default


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def enter_namespaces():
    """Again from the start, in a mount and a network namespace of its own: nothing of a benchmark reaches the machine."""
    if os.environ.get("SHOAL_BENCH_INSIDE") != "1":
        os.environ["SHOAL_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private", *sys.orig_argv])


def busy_seconds():
    """CPU time of the whole machine, kernel workers included."""
    fields = [int(word) for word in read("/proc/stat").splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


class Host:
    def __init__(self, priority):
        self.priority = priority
        self.folder = tempfile.mkdtemp(prefix="shoal-bench.", dir="/var/tmp")
        os.chmod(self.folder, 0o711)  # a sandbox's own root walks through it
        self.state = os.path.join(self.folder, "state")  # what /run is elsewhere, for every contender
        self.root = os.path.join(self.folder, "rootfs")
        self.top = os.path.join(CGROUPS, f"shoal-bench.{os.getpid()}")
        self.processes = []
        self.bridge = 0
        self.longest_stall_usec = None

    # ---- set up and tear down

    def set_up(self):
        os.mkdir(self.state)
        run("mount", "-t", "tmpfs", "-o", "mode=711", "none", self.state)
        null = os.path.join(self.state, "null")  # some give what is their stdin to the container's root: not the machine's
        os.mknod(null, stat.S_IFCHR, os.makedev(1, 3))
        os.chmod(null, 0o666)
        run("mount", "--bind", null, "/dev/null")
        if not any(line.split()[1] == CGROUPS and line.split()[2] == "cgroup2" for line in read("/proc/mounts").splitlines()):
            run("mount", "-t", "cgroup2", "none", CGROUPS)
        os.mkdir(self.top)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "flbridge", "type", "bridge")
        run("ip", "link", "set", "flbridge", "addrgenmode", "none")
        run("ip", "addr", "add", BRIDGE_NET, "dev", "flbridge")
        run("ip", "link", "set", "flbridge", "up")
        self.bridge = socket.if_nametoindex("flbridge")
        self.make_root()

    def make_root(self):
        """The root file system of every contender: one static busybox, and the marker."""
        busybox = shutil.which("busybox")
        if busybox is None:
            raise Failure("no busybox: deps/install")
        for name in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var/tmp"):
            os.makedirs(os.path.join(self.root, name), mode=0o755)
        shutil.copy(busybox, os.path.join(self.root, "bin/busybox"))
        for name in ("hostname", "hosts", "resolv.conf"):  # some put a file of their own over these
            with open(os.path.join(self.root, "etc", name), "w"):
                pass
        for name in ("dd", "sh", "sleep", "true"):
            os.symlink("busybox", os.path.join(self.root, "bin", name))
        shutil.copy(os.path.join(TOOLS, "marker"), os.path.join(self.root, "marker"))

    def tear_down(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        kill = os.path.join(self.top, "cgroup.kill")
        if os.path.exists(kill):
            with open(kill, "w") as out:
                out.write("1")
        self.wait(lambda: not self.remove_cgroups(self.top), "the end of every process in its cgroups")
        for line in reversed(read("/proc/self/mounts").splitlines()):
            if line.split()[1].startswith(self.folder + "/"):
                run("umount", "--lazy", line.split()[1])
        shutil.rmtree(self.folder)

    @staticmethod
    def remove_cgroups(top):
        """What is left of the directories below and at top."""
        left = []
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                left.append(folder)
        return left

    # ---- contenders

    def cgroup(self, name, delegated=False):
        """The cgroup of one contender, and the one in which its first process starts. A runtime makes the cgroups of its
        containers beside that process, so that the contender's cgroup counts all of them; shoal does so by itself in a
        cgroup that is delegated to it."""
        path = os.path.join(self.top, name)
        first = path if delegated else os.path.join(path, "run")
        os.makedirs(first, exist_ok=True)
        if delegated:
            os.setxattr(path, "trusted.delegate", b"1")
        return path, first

    def spawn(self, command, cgroup, **options):
        """Start a measured process: in that cgroup, at the priority that all of them have. It is waited for by the caller."""
        def enter():
            with open(os.path.join(cgroup, "cgroup.procs"), "w") as out:
                out.write("0")
            if self.priority == "realtime":
                os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            else:
                os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
                os.setpriority(os.PRIO_PROCESS, 0, 0)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=enter, cwd=self.folder, **options)
        self.processes = [one for one in self.processes if one.returncode is None] + [process]
        return process

    @staticmethod
    def cpu_usec(cgroup):
        """What every process that ever was in cgroup or below it has used."""
        for line in read(os.path.join(cgroup, "cpu.stat")).splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1])
        raise Failure(f"{cgroup}: no cpu.stat")

    def note_stall(self, usec):
        if usec is not None:
            self.longest_stall_usec = max(usec, self.longest_stall_usec or 0)

    # ---- waiting

    @staticmethod
    def wait(condition, what, seconds=CLEAN_SECONDS):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise Failure(f"not within {seconds} s: {what}")
            time.sleep(0.0005)

    def wait_for_namespaces(self):
        """Until the kernel has taken down every network namespace that has ended before this call: its worker takes them in
        their order, so a last one of our own, with a link to us, stands for all."""
        ready, end = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(end[1])
            ok = ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0
            os.write(ready[1], b"1" if ok else b"0")
            os.read(end[0], 1)
            os._exit(0)
        try:
            if os.read(ready[0], 1) != b"1":
                raise Failure("unshare of a network namespace")
            run("ip", "link", "add", "sentinel", "type", "veth", "peer", "name", "inside", "netns", str(pid))
        finally:
            for fd in (*ready, *end):
                os.close(fd)
            os.waitpid(pid, 0)

        def is_gone():
            try:
                socket.if_nametoindex("sentinel")
                return False
            except OSError:
                return True
        self.wait(is_gone, "the end of the network namespaces")

    # ---- what it is

    def describe(self):
        cpu = next((line.split(":")[1].strip() for line in read("/proc/cpuinfo").splitlines() if line.startswith("model name")),
                   platform.machine())
        memory = int(next(line for line in read("/proc/meminfo").splitlines() if line.startswith("MemTotal")).split()[1])
        system = dict(line.split("=", 1) for line in read("/etc/os-release").splitlines() if "=" in line)
        kind = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", self.folder], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        commit = subprocess.run(["git", "-C", REPO, "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True,
                                stderr=subprocess.DEVNULL, check=False).stdout.strip()
        shown = subprocess.run([SHOAL, "version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        return {"kernel": platform.release(), "cpu": cpu, "cpus": os.cpu_count(), "memory_gib": round(memory / 2**20, 1),
                "system": system.get("PRETTY_NAME", "").strip('"'), "file_system": kind,
                "controllers": read(os.path.join(CGROUPS, "cgroup.controllers")).split(),
                "load_before": os.getloadavg()[0], "priority": self.priority,
                "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
                "shoal": shown + (f" ({commit})" if commit else "")}
