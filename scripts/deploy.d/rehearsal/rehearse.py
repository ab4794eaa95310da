"""Brings up deploy/compose without an engine: each service's command, configuration, mounts and health check are really run, then the
commands of docs/deployment.md. Called by scripts/rehearse-deploy."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import box
import images
import model

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
COMPOSE = f"{ROOT}/deploy/compose"
HEALTHY_SECONDS_MAX = 180
HEALTH_EVERY_SECONDS = 2
RESTARTS_MAX = 20
READY_SECONDS_MAX = 120


class Rehearsal:
    def __init__(self, options):
        self.options = options
        self.folder = options.folder
        self.stages = model.images(f"{ROOT}/deploy/Dockerfile")
        self.network = box.Network()
        self.boxes = {}
        with open(options.binary, "rb") as program:
            self.is_static = b"ld-linux" not in program.read(4096)  # the loader stands at the beginning
        say(f"the program: {options.binary}, {'static, on an empty root' if self.is_static else 'with the libraries of the machine'}")
        self.coming_up = True  # what ends meanwhile is started again, as its `restart` says
        self.restarts = 0

    def containers(self, *files, **variables):
        return model.containers(self.options.reader, COMPOSE, files, variables)

    def up(self, containers):
        """Starts containers, each when those that it depends on are healthy."""
        ready = [(container, *self.made(container)) for container in containers]
        for container, made, command in sorted(ready, key=lambda one: bool(one[0].after)):
            for name in container.after:
                self.wait_healthy(name)
            made.start(command)
            say(f"{container.name}: {' '.join(command)}")

    def made(self, container):
        image = container.service["image"].split(":")[0]
        if image in images.ENTRIES:
            entry = images.ENTRIES[image](self.options.programs)
            folder = os.path.join(self.folder, "run", container.name)
            binds = []
            for number, target in enumerate(entry["folders"]):
                os.makedirs(f"{folder}/{number}", mode=0o777)
                os.chmod(f"{folder}/{number}", 0o777)
                binds.append((f"{folder}/{number}", target, False))
            made = box.Box(container, self.network, self.folder, root="machine", user=entry["user"], workdir="/", binds=binds,
                           files=entry["files"], environment={**entry["environment"], **container.environment})
            command = entry["entry"] + container.command
        else:
            image = self.stages[container.service["build"].get("target", "")]
            made = box.Box(container, self.network, self.folder, root="machine" if image is self.stages["tester"] else "bare",
                           user=image.user, workdir=image.folder, environment={**image.environment, **container.environment},
                           binds=[(self.options.binary, "/usr/local/bin/list_sync", True)], libraries=not self.is_static)
            command = image.entrypoint + (container.command or image.command)
        self.boxes[container.name] = made
        return made, command

    def wait_healthy(self, name):
        found = next(made for made in self.boxes.values() if name in made.container.names)
        health = found.container.service["healthcheck"]
        command = health["test"][1:] if health["test"][0] == "CMD" else ["/bin/sh", "-c", health["test"][1]]
        deadline = time.monotonic() + HEALTHY_SECONDS_MAX
        timeout = model.seconds(health.get("timeout"))
        while True:
            self.all_run()
            began = time.monotonic()
            said = found.inside(command)
            took = time.monotonic() - began
            if said.returncode == 0 and took <= timeout:
                break
            if time.monotonic() > deadline:
                fail(f"{name} is not healthy after {took:.1f} s: {said.stderr}{said.stdout}\n{found.tail()}")
            time.sleep(HEALTH_EVERY_SECONDS)
        say(f"{name}: healthy; its check took {took:.1f} s")

    def all_run(self):
        for name, made in self.boxes.items():
            if not made.process or made.is_running():
                continue
            if self.coming_up and self.restarts < RESTARTS_MAX and made.container.service.get("restart") == "unless-stopped":
                self.restarts += 1
                say(f"{name} ended with {made.process.returncode} and is started again:\n{made.tail(2)}")
                made.start(made.spec["command"])
            else:
                fail(f"{name} ended with {made.process.returncode}:\n{made.tail()}")

    def command(self, name, *command):
        """As docker exec; shows what it says, and fails with it."""
        say(f"docker exec {name} {' '.join(command)}")
        said = self.boxes[name].inside(command)
        for line in said.stdout.splitlines():
            say(f"  {line}")
        if said.returncode:
            logs = "".join(f"{other}:\n{made.tail()}" for other, made in self.boxes.items() if "connector" in other or "consumer" in other)
            fail(f"it ended with {said.returncode}: {said.stderr}\n{logs}")
        self.all_run()
        return said.stdout

    def stop(self, chosen):
        """All at the same time, as `docker compose stop` does. Ours must end well, and never have held more memory than they may."""
        stopping = {name: self.boxes.pop(name) for name in list(self.boxes) if chosen(name)}
        peaks = {name: made.peak() for name, made in stopping.items()}
        for made in stopping.values():
            made.end()
        for name, made in stopping.items():
            code = made.ended(model.seconds(made.container.service.get("stop_grace_period")))
            if "build" not in made.container.service or made.container.service.get("init"):
                say(f"{name}: stopped")
                continue
            allowed = made.container.memory_max
            if code != 0:
                fail(f"{name} ended with {code} when it was stopped:\n{made.tail()}")
            if peaks[name] > allowed:
                fail(f"{name} held {peaks[name] >> 20} MB, more than its limit allows")
            say(f"{name}: stopped with 0; it held {peaks[name] >> 20} MB at most, of {allowed >> 20}")

    def remove(self):
        for made in self.boxes.values():
            made.kill()
        self.network.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


def say(line):
    print(line, flush=True)


def fail(why):
    sys.exit(f"rehearse-deploy: {why}")


def rehearse(play, rows):
    play.up(play.containers("brokers.yml", "pgsql.yml", "mysql.yml"))
    for broker in ("broker1", "broker2", "broker3"):
        play.wait_healthy(broker)
    play.all_run()
    play.coming_up = False
    play.up(play.containers("pg-consumers.yml") + play.containers("my-consumers.yml") + play.containers("tester.yml"))
    said = play.command("list-sync-tester-1", "test-load", str(rows))
    for table in ("pgsql: tester_pgsql: public.test", "mysql: tester_mysql: exampledb.test"):
        if f"{table}: " not in said:
            fail(f"{table} was not proved")
    watched(play)
    say("== consumers that write, as docs/deployment.md turns them on")
    play.stop(lambda name: "consumer" in name)
    if os.listdir(f"{play.folder}/volumes/pg-files"):
        fail("the consumers wrote files, though they were not told to")
    play.up(play.containers("pg-consumers.yml", PG_SINK="pg_files") + play.containers("my-consumers.yml", MY_SINK="my_files"))
    play.up([prove := one_off(play, "tester.yml")])
    for source, sink in (("pgsql", "pg_files"), ("mysql", "my_files")):
        play.command(prove.name, "list_sync", "-c", "/etc/list_sync/tester.toml", "verify", "--wait", "120", "--source", source, "--sink", sink)
    slow_brokers(play)
    say("== stopped")
    play.stop(lambda name: name.startswith("list-sync"))
    play.stop(lambda name: True)


def watched(play):
    """What Prometheus would ask, from another container: every name and the port of its configuration answers, and says that it is ready."""
    settings = open(f"{COMPOSE}/config/prometheus.yml").read()
    names = re.search(r"names: \[(.*)\]", settings)[1].split(", ")
    port = re.search(r"port: (\d+)", settings)[1]
    for name in names:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while True:
            asked = ["python3", "-c", f"import urllib.request as r; print(r.urlopen('http://{name}:{port}/readyz', timeout=5).status)"]
            said = play.boxes["list-sync-tester-1"].inside(asked)
            if said.returncode == 0:
                break
            if time.monotonic() > deadline:
                fail(f"http://{name}:{port}/readyz: {said.stderr.splitlines()[-1]}")
            time.sleep(HEALTH_EVERY_SECONDS)
        asked[2] = asked[2].replace("readyz", "metrics").replace(".status", ".read().decode()")
        said = play.boxes["list-sync-tester-1"].inside(asked)
        if "list_sync_" not in said.stdout:
            fail(f"http://{name}:{port}/metrics: {said.stdout}{said.stderr}")
        say(f"{name}: ready, and shows {said.stdout.count(chr(10))} lines of figures")


def one_off(play, file):
    """`docker compose run -v …`: the tester once more, with the consumers' volumes."""
    (container,) = play.containers(file)
    container.name += "-run"
    container.service["volumes"] = [volume for volume in container.service["volumes"] if volume["type"] == "bind"]
    for folder in ("pg", "my"):
        target = f"/var/lib/list_sync/{folder}"
        volume = f"{play.folder}/volumes/{folder}-files/{folder}"
        container.service["volumes"].append({"type": "bind", "source": volume, "target": target, "read_only": True})
        while not os.path.isdir(volume):
            play.all_run()
            time.sleep(0.1)
    return container


def slow_brokers(play):
    """add_latency_broker.sh asks `docker inspect` for one thing, the process of a container; here a script answers it."""
    answers = f"{play.folder}/bin"
    os.makedirs(answers)
    with open(f"{answers}/docker", "w") as docker:
        docker.write("#!/bin/sh\ncase $4 in\n")
        docker.writelines(f"{name}) echo {made.pid} ;;\n" for name, made in play.boxes.items())
        docker.write("*) exit 1 ;;\nesac\n")
    os.chmod(docker.name, 0o755)
    environment = {**os.environ, "PATH": f"{answers}:{os.environ['PATH']}"}
    script = f"{COMPOSE}/add_latency_broker.sh"
    said = subprocess.run([script], env=environment, capture_output=True, text=True)
    if said.returncode and "load_module.sh" in said.stderr:
        say(f"== add_latency_broker.sh: this kernel has no sch_netem, and the script says so: {said.stderr.splitlines()[-1]}")
        return
    if said.returncode or said.stdout.count("1000mbit bandwidth, 10ms latency") != 3:
        fail(f"add_latency_broker.sh: {said.stdout}{said.stderr}")
    say(said.stdout)
    play.command("broker2", "ping", "-c", "3", "broker1")


def main():
    parser = argparse.ArgumentParser()
    for name in ("--binary", "--programs", "--reader", "--folder"):
        parser.add_argument(name, required=True)
    parser.add_argument("--rows", type=int, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("rehearse-deploy: stopped"))
    play = Rehearsal(options)
    try:
        rehearse(play, options.rows)
    finally:
        play.remove()


main()
