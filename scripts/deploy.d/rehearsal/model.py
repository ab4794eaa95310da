"""What the compose files and the Dockerfile say, as plain data. Starts nothing."""

import json
import re
import shlex
import subprocess
from dataclasses import dataclass, field


@dataclass
class Image:
    """What an image gives a container that the compose file does not."""

    user: str = "0:0"
    folder: str = "/"
    entrypoint: list = field(default_factory=list)
    command: list = field(default_factory=list)
    environment: dict = field(default_factory=dict)


def images(dockerfile):
    """Each stage of a Dockerfile by its name; the last one, which is built by default, as ""."""
    text = re.sub(r"\\\n", " ", open(dockerfile).read())
    stages, image, name = {}, Image(), ""
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            image, name = Image(), rest.split(" AS ")[1] if " AS " in rest else ""
            stages[name] = image
        elif word == "USER":
            image.user = rest
        elif word == "WORKDIR":
            image.folder = rest
        elif word == "ENTRYPOINT":
            image.entrypoint = json.loads(rest)
        elif word == "CMD":
            image.command = json.loads(rest)
        elif word == "ENV":
            image.environment.update(pair.split("=", 1) for pair in shlex.split(rest))
    return stages


@dataclass
class Container:
    """One container of a service, as Docker would start it."""

    name: str
    service: dict
    names: set  # on the network

    @property
    def command(self):
        return self.service.get("command") or []

    @property
    def environment(self):
        return {key: value or "" for key, value in (self.service.get("environment") or {}).items()}

    @property
    def memory_max(self):
        return int(self.service["deploy"]["resources"]["limits"]["memory"])

    @property
    def after(self):
        return list(self.service.get("depends_on") or {})


def containers(reader, folder, files, variables):
    """The containers of FILES, read by the program READER as `docker compose` would read them."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **variables}
    said = subprocess.run([reader, *files], cwd=folder, env=environment, capture_output=True, text=True)
    if said.returncode:
        raise SystemExit(f"rehearse-deploy: {said.stderr.strip()}")
    project = json.loads(said.stdout)
    made = []
    for key, service in sorted(project["services"].items()):
        for number in range(1, service.get("deploy", {}).get("replicas", 1) + 1):
            name = service.get("container_name") or f"{project['name']}-{key}-{number}"
            made.append(Container(name, service, {key, name, service.get("hostname", key)}))
    return made


def seconds(duration):
    """Of Go's way to write a duration: 1m30s."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([hms])", duration or "10s"))
