"""What the published binary is built from, as cargo resolves it for this machine: used by bill.py and notices.py."""

import json
import subprocess

ROOT = "list_sync_cli"


def cargo(*words):
    return json.loads(subprocess.check_output(["cargo", *words]))


def graph():
    """(the program's package, every package by its id, the ids that each is linked from), without what only builds or tests it."""
    host = next(line.split()[1] for line in subprocess.check_output(["rustc", "-vV"], text=True).splitlines() if line.startswith("host"))
    metadata = cargo("metadata", "--locked", "--format-version=1", f"--filter-platform={host}", "--manifest-path=cli/Cargo.toml", "--features=static")
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = next(package for package in packages.values() if package["name"] == ROOT)
    linked, waiting = {}, [root["id"]]
    while waiting:
        identity = waiting.pop()
        if identity in linked:
            continue
        linked[identity] = sorted(dependency["pkg"] for dependency in nodes[identity]["deps"] if is_linked(dependency, packages))
        waiting += linked[identity]
    return root, {identity: packages[identity] for identity in linked}, linked


def is_linked(dependency, packages):
    """openssl-src is a build dependency by its form, but what it builds is linked in."""
    return packages[dependency["pkg"]]["name"] == "openssl-src" or any(kind["kind"] is None for kind in dependency["dep_kinds"])
