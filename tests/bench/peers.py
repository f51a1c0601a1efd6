"""Other programs that run a sandbox: where they are, how each is asked for comparable work, what it does that we do not and the
other way round. A peer that is not installed, or cannot run here, is named with the reason."""
import glob
import os
import shutil
import signal
import subprocess

import bundle
from figures import Failure
from host import CGROUPS, FIRST_ID, IDS, TOOLS, run

LIFE = ["/bin/busybox", "true"]


def installed(name):
    path = shutil.which(name)
    if path is None:
        raise Failure("not installed")
    return [path]


class Peer:
    """What a peer is asked to do is argv(); "{n}" in it becomes the number of the run."""
    name = version_option = does = None
    per_turn = 20  # runs in one turn: fewer where one takes long
    network = "own empty network namespace"

    def __init__(self, host):
        self.host = host
        self.program = self.find()
        self.cgroup, self.first = host.cgroup(self.name)
        self.folder = os.path.join(host.folder, f"peer-{self.name}")
        self.state = os.path.join(host.state, self.name)
        os.makedirs(self.folder, mode=0o711, exist_ok=True)
        os.makedirs(self.state, mode=0o711, exist_ok=True)

    def find(self):
        return installed(self.name)

    def version(self):
        shown = subprocess.run(self.program + [self.version_option or "--version"], stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.STDOUT, check=False).stdout
        return shown.splitlines()[0] if shown else ""

    def set_up(self):
        pass

    def prepare(self, nonce, count):
        """Before the clock runs."""

    def argv(self, nonce):
        raise NotImplementedError

    def tear_down(self):
        pass


class Bwrap(Peer):
    name = "bwrap"
    does = "every namespace; no cgroup, no id range (one id), no writable layer, no seccomp filter, no masked paths"

    def argv(self, nonce):
        return self.program + ["--unshare-all", "--uid", "0", "--gid", "0", "--ro-bind", self.host.root, "/", "--proc", "/proc",
                               "--dev", "/dev", "--tmpfs", "/tmp", "/marker", nonce + "-{n}", *LIFE]


class Nsjail(Peer):
    name = "nsjail"
    version_option = "--help"
    does = "every namespace, id range; no cgroup, no writable layer, no seccomp filter"

    def version(self):
        return "nsjail"  # it has no option that tells

    def argv(self, nonce):
        ids = f"0:{FIRST_ID}:{IDS}"
        return self.program + ["-Mo", "--really_quiet", "--chroot", self.host.root, "-u", ids, "-g", ids, "--disable_rlimits",
                               "-t", "0", "--", "/marker", nonce + "-{n}", *LIFE]


class Runtime(Peer):
    """crun and runc: `run` of a bundle."""
    does = "user and six more namespaces, id range, cgroup, capabilities, masked paths; no veth, no writable layer, no seccomp"

    def prepare(self, nonce, count):
        bundle.write(self.folder, self.host.root, self.cgroup[len(CGROUPS):], nonce, count)


class Crun(Runtime):
    name = "crun"

    def find(self):
        """The one that deps/crun unpacked aside goes before the installed one: an old one may not run here."""
        for loader in glob.glob(os.path.join(TOOLS, "crun/usr/lib/*/ld-linux-*.so.*")):
            return [loader, "--library-path", os.path.dirname(loader), os.path.join(TOOLS, "crun/usr/bin/crun")]
        return installed("crun")

    def argv(self, nonce):
        return self.program + ["--root", self.state, "--cgroup-manager=cgroupfs", "run", "-b", self.folder + "/{n}", "bench-{n}"]


class Runc(Runtime):
    name = "runc"
    per_turn = 10

    def argv(self, nonce):
        return self.program + ["--root", self.state, "run", "-b", self.folder + "/{n}", "bench-{n}"]


class Nspawn(Peer):
    name = "nspawn"
    per_turn = 5
    does = "every namespace, id range, its own seccomp filter, cgroup; no veth, read-only root; not registered with systemd"

    def find(self):
        return installed("systemd-nspawn")

    def set_up(self):
        os.makedirs("/run/systemd/nspawn", exist_ok=True)
        run("mount", "-t", "tmpfs", "none", "/run/systemd/nspawn")  # it insists on a tmpfs there

    def argv(self, nonce):
        return self.program + ["--quiet", "--directory", self.host.root, "--read-only", "--register=no", "--keep-unit",
                               "--private-network", f"--private-users={FIRST_ID}:{IDS}", "--resolv-conf=off", "--timezone=off",
                               "--link-journal=no", "--console=pipe", "--machine=bench-{n}", "/marker", nonce + "-{n}", *LIFE]


class Podman(Peer):
    name = "podman"
    per_turn = 2
    does = "through conmon and runc; id range, cgroup, seccomp filter, storage; no veth (--network none), read-only root"

    def find(self):
        installed("runc")
        return installed("podman")

    def argv(self, nonce):
        ids = f"0:{FIRST_ID}:{IDS}"
        # limits of its own choice would be raised above what this process may have
        return self.program + ["--root", self.folder, "--runroot", self.state, "--tmpdir", self.state + "/tmp",
                               "--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", shutil.which("runc"),
                               "run", "--rm", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
                               "--pids-limit", "0", "--cgroup-parent", self.cgroup[len(CGROUPS):], "--uidmap", ids,
                               "--gidmap", ids, "--read-only", "--name", "bench-{n}", "--rootfs", self.host.root,
                               "/marker", nonce + "-{n}", *LIFE]


class Ctr(Peer):
    name = "ctr"
    per_turn = 2
    does = "through containerd, its shim and runc, with the same bundle as these; no veth, no writable layer, no seccomp"

    def find(self):
        installed("containerd")
        return installed("ctr")

    def set_up(self):
        self.socket = os.path.join(self.state, "socket")
        settings = os.path.join(self.folder, "config.toml")
        with open(settings, "w") as out:
            out.write(f'version = 2\nroot = "{self.folder}/root"\nstate = "{self.state}/state"\n'
                      f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{self.socket}"\n')
        with open(os.path.join(self.folder, "log"), "w") as log:
            self.daemon = self.host.spawn(["containerd", "-c", settings], self.first, stdout=log, stderr=log)
        ask = [*self.program, "-a", self.socket, "version"]
        self.host.wait(lambda: subprocess.run(ask, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                       .returncode == 0, "containerd's answer", 20)

    def prepare(self, nonce, count):
        bundle.write(self.folder, self.host.root, self.cgroup[len(CGROUPS):], nonce, count)

    def argv(self, nonce):
        return self.program + ["-a", self.socket, "run", "--rm", "--config", self.folder + "/{n}/config.json", "bench-{n}"]

    def tear_down(self):
        if hasattr(self, "daemon"):
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait()


PEERS = (Bwrap, Nsjail, Crun, Runc, Nspawn, Podman, Ctr)
