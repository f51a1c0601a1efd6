"""What a test must leave as it found it: processes, mounts, links, nftables, cgroups, files of shoal, locks."""
import ctypes
import glob
import os
import subprocess

import shoal

PR_SET_CHILD_SUBREAPER = 36

# Files that may stay because they belong to no fleet. Patterns of whole paths.
KEPT = ("/run/shoal", "/run/shoal/ids")


def become_subreaper():
    """From now on what loses its parent below us becomes our child, so that nothing gets away unseen."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def read(path):
    try:
        with open(path, errors="replace") as text:
            return text.read()
    except OSError:
        return ""


def processes():
    """Everything below this process: {pid: "comm: command line"}. The dead ones that fell to us are reaped."""
    parents = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        fields = read(path).rpartition(")")[2].split()
        if len(fields) > 2:
            parents.setdefault(int(fields[1]), []).append((int(path.split("/")[2]), fields[0]))
    found, waiting = {}, [os.getpid()]
    while waiting:
        parent = waiting.pop()
        for pid, state in parents.get(parent, []):
            if parent == os.getpid() and state == "Z":
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass
                continue
            found[f"{pid}"] = f"{read(f'/proc/{pid}/comm').strip()}: " + read(f"/proc/{pid}/cmdline").replace("\0", " ")[:100]
            waiting.append(pid)
    return found


def mounts():
    found = {}
    for line in read("/proc/self/mountinfo").splitlines():
        fields, _, rest = line.partition(" - ")
        found[fields.split()[0]] = f"{fields.split()[4]} ({rest.split()[0]})"
    return found


def links():
    shown = subprocess.run(["ip", "-o", "link"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {line.split(": ")[0] + " " + line.split(": ")[1].split("@")[0]: line.split(" mtu")[0] for line in shown.splitlines()}


def nftables():
    shown = subprocess.run(["nft", "list", "tables"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {table: subprocess.run(["nft", "-s", "list", *table.split()], stdout=subprocess.PIPE, text=True, check=False).stdout
            for table in shown.splitlines()}


def cgroups():
    """Every directory below a "shoal" of the cgroup2 mount: at its top, or in the cgroup we live in."""
    mount = shoal.cgroup_mount()
    if mount is None:
        return {}
    own = next((line[3:] for line in read("/proc/self/cgroup").splitlines() if line.startswith("0::")), "/")
    found = {}
    for top in {mount + "/shoal", os.path.normpath(mount + own) + "/shoal", os.path.dirname(os.path.normpath(mount + own)) + "/shoal"}:
        for folder, _, _ in os.walk(top):
            found[folder] = read(folder + "/cgroup.procs").replace("\n", " ")
    return found


def files():
    """What shoal keeps outside its --root and --run: nothing but what KEPT names."""
    found = {}
    for top in glob.glob("/run/shoal*") + glob.glob("/tmp/shoal*") + glob.glob("/dev/shm/shoal*"):
        kept = [path for pattern in KEPT for path in glob.glob(pattern)]
        for folder, _, names in os.walk(top):
            for path in [folder] + [os.path.join(folder, name) for name in names]:
                if path not in kept:
                    found[path] = ""
    return found


def locks():
    """Locks held on files under /run/shoal: leases of id ranges, projects."""
    inodes = {}
    for folder, _, names in os.walk("/run/shoal"):
        for path in [folder] + [os.path.join(folder, name) for name in names]:
            try:
                inodes[os.stat(path).st_ino] = path
            except OSError:
                pass
    found = {}
    for line in read("/proc/locks").splitlines():
        place = next((field for field in line.split() if field.count(":") == 2), "::0")
        path = inodes.get(int(place.rpartition(":")[2]))
        if path:
            found[path] = line
    return found


KINDS = {"process": processes, "mount": mounts, "link": links, "nft table": nftables, "cgroup": cgroups, "file": files,
         "lock": locks}


def snapshot():
    return {kind: look() for kind, look in KINDS.items()}


def differences(before, after):
    """Sentences about what is more, less or (nftables) other than before."""
    found = []
    for kind in KINDS:
        found += [f"{kind} left: {name} {after[kind][name]}".rstrip() for name in after[kind].keys() - before[kind].keys()]
        found += [f"{kind} gone: {name} {before[kind][name]}".rstrip() for name in before[kind].keys() - after[kind].keys()]
    for table in before["nft table"].keys() & after["nft table"].keys():
        if before["nft table"][table] != after["nft table"][table]:
            found.append(f"nft table changed: {table}")
    return sorted(found)
