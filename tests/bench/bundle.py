"""The OCI bundle that crun, runc and ctr are given: what a sandbox of ours has, as far as these runtimes do it."""
import json
import os

from host import FIRST_ID, IDS

CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP",
                "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP"]
QUIET = ["nosuid", "noexec", "nodev"]
MASKED = ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/sched_debug", "/proc/scsi", "/sys/firmware"]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def config(root, cgroup, command):
    """cgroup: its path below the cgroup2 mount."""
    ids = [{"containerID": 0, "hostID": FIRST_ID, "size": IDS}]
    return {
        "ociVersion": "1.0.0",
        "process": {"user": {"uid": 0, "gid": 0}, "args": command, "cwd": "/", "env": ["PATH=/bin"], "noNewPrivileges": True,
                    "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}},
        "root": {"path": root, "readonly": True},
        "hostname": "bench",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": QUIET + ["mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": QUIET},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": QUIET + ["ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": QUIET + ["ro"]},
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup", "user")],
            "uidMappings": ids, "gidMappings": ids, "cgroupsPath": cgroup, "maskedPaths": MASKED, "readonlyPaths": READ_ONLY,
        },
    }


def write(folder, root, cgroup, nonce, count):
    """count bundles: folder/0, folder/1, ... Each has a cgroup and a marker of its own; all share the root."""
    for number in range(count):
        path = os.path.join(folder, str(number))
        os.makedirs(path, exist_ok=True)
        command = ["/marker", f"{nonce}-{number}", "/bin/busybox", "true"]
        with open(os.path.join(path, "config.json"), "w") as out:
            json.dump(config(root, f"{cgroup}/c{number}", command), out)
