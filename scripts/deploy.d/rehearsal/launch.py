"""The first process of a box, already in namespaces of its own: builds the root folder as it is told on stdin, gives up all rights, and
becomes the command."""

import ctypes
import json
import os
import socket
import subprocess
import sys

PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, CAPABILITY_MAX = 38, 24, 40


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def bare(root, libraries):
    """An empty root, as the image has it; for a program that is not static, the machine's libraries in it."""
    mount("-t", "tmpfs", "none", root)
    for name in ("etc", "tmp", "usr/local/bin"):
        os.makedirs(f"{root}/{name}")
    for name in ("lib", "lib64") if libraries else ():
        os.symlink(f"usr/{name}", f"{root}/{name}")
        if os.path.isdir(f"/usr/{name}"):
            os.makedirs(f"{root}/usr/{name}")
            mount("--bind", f"/usr/{name}", f"{root}/usr/{name}")


def machine(root, folder):
    """The machine's own tree, not to be changed, with an empty layer above it."""
    layer = f"{folder}/layer"
    os.makedirs(layer, exist_ok=True)
    mount("-t", "tmpfs", "none", layer)
    for name in ("upper", "work"):
        os.makedirs(f"{layer}/{name}")
    mount("-t", "overlay", "-o", f"lowerdir=/,upperdir={layer}/upper,workdir={layer}/work", "none", root)
    mount("-t", "tmpfs", "-o", "mode=1777", "none", f"{root}/tmp")


def devices(folder):
    os.makedirs(folder, exist_ok=True)
    mount("-t", "tmpfs", "none", folder)
    for name in ("null", "zero", "full", "random", "urandom"):
        open(f"{folder}/{name}", "w").close()
        mount("--bind", f"/dev/{name}", f"{folder}/{name}")
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")):
        os.symlink(target, f"{folder}/{name}")
    os.makedirs(f"{folder}/shm")
    mount("-t", "tmpfs", "-o", "mode=1777", "none", f"{folder}/shm")


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.islink(path):
        os.unlink(path)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def main():
    spec = json.load(sys.stdin)
    root = f"{spec['folder']}/root"
    os.makedirs(root, exist_ok=True)
    socket.sethostname(spec["hostname"])
    mount("--make-rprivate", "/")
    if spec["root"] == "bare":
        bare(root, spec["libraries"])
    else:
        machine(root, spec["folder"])
    uid, gid = spec["user"]
    write(f"{root}/etc/hosts", spec["hosts"])
    write(f"{root}/etc/resolv.conf", "")
    if spec["root"] != "bare":
        write(f"{root}/etc/passwd", f"root:x:0:0::/root:/bin/sh\nbox:x:{uid}:{gid}::/nonexistent:/bin/sh\n")
    for path, text in spec["files"].items():
        write(root + path, text, 0o755)
    for source, target, read_only in spec["volumes"]:
        place = root + target
        if os.path.realpath(place) != place:
            sys.exit(f"{target} leads through a link out of the box")
        if os.path.isdir(source):
            os.makedirs(place, exist_ok=True)
        elif not os.path.exists(place):
            write(place, "")
        mount("--bind", source, place)
        if read_only:
            mount("-o", "remount,bind,ro", place)
    os.makedirs(f"{root}/proc", exist_ok=True)
    mount("-t", "proc", "none", f"{root}/proc")
    devices(f"{root}/dev")
    os.makedirs(root + spec["workdir"], exist_ok=True)
    if spec["read_only"]:
        mount("-o", "remount,ro", root)
    os.chroot(root)
    os.chdir(spec["workdir"])
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(CAPABILITY_MAX + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if spec["no_new_privileges"]:
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    command = spec["command"]
    os.execvpe(command[0], command, spec["environment"])


main()
