"""A container without an engine: a network, a process and a mount namespace of its own, a root folder, a user without rights.

Memory and processor limits are not set, only watched."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time

LAUNCH = os.path.join(os.path.dirname(__file__), "launch.py")
NETWORK = "10.213.77."


def run(*command, **more):
    return subprocess.run([str(word) for word in command], check=True, **more)


class Network:
    """A bridge in a namespace of its own, so that the machine's own network is left alone."""

    def __init__(self):
        self.prefix = f"lsr{os.getpid()}"
        self.switch = f"{self.prefix}-0"
        self.used = 0
        self.names = {}
        run("ip", "netns", "add", self.switch)
        run("ip", "-n", self.switch, "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", self.switch, "link", "set", "bridge", "up")

    def join(self, names):
        """A namespace with one interface, eth0, known by NAMES; several containers of one service share the service's name."""
        self.used += 1
        space, port, address = f"{self.prefix}-{self.used}", f"port{self.used}", f"{NETWORK}{self.used}"
        run("ip", "netns", "add", space)
        run("ip", "-n", self.switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
        run("ip", "-n", self.switch, "link", "set", port, "master", "bridge", "up")
        run("ip", "-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", space, "link", "set", "eth0", "up")
        run("ip", "-n", space, "link", "set", "lo", "up")
        for name in names:
            self.names.setdefault(name, address)
        return space

    def hosts(self):
        return "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in self.names.items())

    def remove(self):
        for number in range(self.used + 1):
            subprocess.run(["ip", "netns", "del", f"{self.prefix}-{number}"], check=False)


class Box:
    """One container. `root`: "bare" has the program and its libraries alone, "machine" is the machine's own tree with a layer above it."""

    def __init__(self, container, network, folder, *, root, user, environment, workdir, files=(), binds=(), libraries=False):
        self.container, self.network = container, network
        self.hostname = container.service.get("hostname") or secrets.token_hex(6)
        self.space = network.join({*container.names, self.hostname})
        self.folder = os.path.join(folder, container.name)
        os.makedirs(self.folder, exist_ok=True)
        self.log = os.path.join(self.folder, "log")
        self.user = [int(part) for part in user.split(":")]
        self.environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOSTNAME": self.hostname, **environment}
        volumes = list(binds)
        for volume in container.service.get("volumes") or []:
            source = volume["source"]
            if volume["type"] == "volume":
                source = os.path.join(folder, "volumes", source)
                os.makedirs(source, exist_ok=True)
                if not os.listdir(source):
                    os.chown(source, *self.user)  # as Docker copies the owner of the image's folder to a new volume
            volumes.append((source, volume["target"], volume.get("read_only", False)))
        self.spec = {
            "root": root, "libraries": libraries, "folder": self.folder, "volumes": volumes, "files": dict(files), "user": self.user, "workdir": workdir,
            "read_only": container.service.get("read_only", False), "hostname": self.hostname,
            "no_new_privileges": "no-new-privileges:true" in (container.service.get("security_opt") or []),
        }
        self.process = self.pid = None

    def start(self, command):
        self.pid, self.spec["hosts"] = None, self.network.hosts()
        self.spec["command"], self.spec["environment"] = command, self.environment
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.space, "unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", sys.executable, LAUNCH],
            stdin=subprocess.PIPE, stdout=open(self.log, "ab"), stderr=subprocess.STDOUT, start_new_session=True)
        self.process.stdin.write(json.dumps(self.spec).encode())
        self.process.stdin.close()
        while self.pid is None and self.is_running():
            children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
            self.pid = int(children[0]) if children else None
            time.sleep(0.02)
        while self.is_running() and LAUNCH in open(f"/proc/{self.pid}/cmdline").read():
            time.sleep(0.02)

    def is_running(self):
        return self.process.poll() is None

    def inside(self, command, environment=None, **more):
        """As `docker exec` would; the answer is the finished process."""
        uid, gid = self.user
        enter = ["nsenter", f"--target={self.pid}", "--net", "--pid", "--mount", "--root", "--wd", f"--setuid={uid}", f"--setgid={gid}"]
        pairs = [f"{key}={value}" for key, value in {**self.environment, **(environment or {})}.items()]
        return subprocess.run([*enter, "/usr/bin/env", "-i", *pairs, *command], text=True, capture_output=True, **more)

    def peak(self):
        """Bytes of memory that its processes held at most, as far as each can tell."""
        pids, total = [self.pid], 0
        while pids:
            pid = pids.pop()
            try:
                pids += map(int, open(f"/proc/{pid}/task/{pid}/children").read().split())
                lines = open(f"/proc/{pid}/status").read().splitlines()
                total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
            except FileNotFoundError:
                pass
        return total

    def end(self):
        """Begins to stop it, as `docker stop` does; under `init` a command that knows no signals ends at once."""
        number = getattr(signal, self.container.service.get("stop_signal") or "SIGTERM")
        if self.is_running():
            os.kill(self.pid, signal.SIGKILL if self.container.service.get("init") else number)

    def ended(self, seconds):
        """The exit code, or None if it had to be killed after so many seconds."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self):
        if self.process and self.is_running():
            self.process.kill()
            self.process.wait()

    def tail(self, lines=12):
        with open(self.log, errors="replace") as log:
            return "".join(f"  | {line}" for line in log.readlines()[-lines:])
