"""Bounds of writable layers, seen from outside: project quotas, loop devices."""
import ctypes
import glob
import os
import platform
import struct
import subprocess

import pytest

import shoal

SYS_QUOTACTL_FD = 443
PRJQUOTA, Q_GETNEXTQUOTA = 2, 0x800009


def projects(folder):
    """{project: (bytes, inodes, limit of bytes, limit of inodes)} of all that use or may use something."""
    libc = ctypes.CDLL(None, use_errno=True)
    found, number = {}, 1
    fd = os.open(folder, os.O_RDONLY)
    try:
        while True:
            block = ctypes.create_string_buffer(80)
            if libc.syscall(SYS_QUOTACTL_FD, fd, Q_GETNEXTQUOTA << 8 | PRJQUOTA, number, block) != 0:
                break
            hard, _, used, inodes_hard, _, inodes, _, _, _, number = struct.unpack("=8QII", block.raw[:72])
            values = (used, inodes, hard * 1024, inodes_hard)
            if any(values):
                found[number] = values
            number += 1
    finally:
        os.close(fd)
    return found


def loops(started):
    """Files below the fleet's folder that are loop devices now."""
    files = [open(path).read().strip() for path in glob.glob("/sys/block/loop*/loop/backing_file")]
    return [path for path in files if path.startswith(started.root)]


def nothing_left(started):
    shoal.wait_for(lambda: not loops(started), what=lambda: f"no loop: {loops(started)}")
    shoal.wait_for(lambda: not projects(started.root), what=lambda: f"no project: {projects(started.root)}")


def need(via):
    if via == "loop":
        subprocess.run(["modprobe", "loop"], check=False, stderr=subprocess.DEVNULL)
        if not os.path.exists("/dev/loop-control"):
            pytest.skip("no loop devices")
    if via == "tmpfs" and tuple(int(part) for part in platform.release().split(".")[:2]) < (6, 6):
        pytest.skip("a tmpfs without extended attributes: Linux 6.6")


@pytest.fixture
def quota_folder(tmp_path):
    """A folder on an ext4 with project quotas."""
    image, folder = tmp_path / "quota.ext4", tmp_path / "quota"
    folder.mkdir()
    for module in ("loop", "quota_v2"):
        subprocess.run(["modprobe", module], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["truncate", "-s", "64M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop,prjquota", image, folder], stderr=subprocess.PIPE, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no project quotas: {mounted.stderr.strip()}")
    fleet = folder / "fleet"
    for path in (os.path.dirname(tmp_path), tmp_path, folder):
        os.chmod(path, 0o711)
    fleet.mkdir(mode=0o711)
    yield str(fleet)
    shoal.wait_for(lambda: subprocess.run(["umount", folder], stderr=subprocess.DEVNULL, check=False).returncode == 0,
                   what="the file system with quotas unmounted")
