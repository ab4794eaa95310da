#!/usr/bin/env bash
# Slows the network of containers down, in their own network namespaces: brokers 1000 Mbit/s and 10 ms each way, 20 ms there and back.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: sudo ./add_latency_broker.sh [--rate RATE] [--delay TIME] [CONTAINER...]
       sudo ./add_latency_broker.sh --remove [CONTAINER...]
  --rate RATE    what a container may send (default: 1000mbit)
  --delay TIME   what each packet that it sends waits (default: 10ms)
  CONTAINER      default: broker1 broker2 broker3. Slow consumers: --rate 20mbit --delay 200ms list-sync-pg-consumer-1
TEXT
}

die() {
  printf 'add_latency_broker: %s\n' "$*" >&2
  exit "${2:-1}"
}

rate=1000mbit delay=10ms remove=
containers=()
while (( $# )); do
  case $1 in
    --rate) [[ ${2:-} =~ ^[0-9]+([kmg]?bit)$ ]] || { usage >&2; exit 2; }; rate=$2; shift ;;
    --delay) [[ ${2:-} =~ ^[0-9]+(us|ms|s)$ ]] || { usage >&2; exit 2; }; delay=$2; shift ;;
    --remove) remove=yes ;;
    --help | -h) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) containers+=("$1") ;;
  esac
  shift
done
(( ${#containers[@]} )) || containers=(broker1 broker2 broker3)
(( EUID == 0 )) || die 'not root; run: sudo ./add_latency_broker.sh'
for program in docker nsenter tc; do
  command -v "$program" >/dev/null || die "$program is missing; install docker, util-linux and iproute2"
done

# What is sent waits and queues: 100 ms of it at the full rate may stand in line, in packets of 1,500 bytes.
for container in "${containers[@]}"; do
  pid=$(docker inspect --format '{{.State.Pid}}' "$container") || die "there is no container $container; docker ps lists them"
  (( pid > 0 )) || die "container $container does not run; start it first"
  inside=(nsenter --target "$pid" --net)
  for interface in $("${inside[@]}" ip -oneline link show up | sed -n 's/^[0-9]*: \(eth[0-9]*\).*/\1/p'); do
    if [[ $remove ]]; then
      "${inside[@]}" tc qdisc del dev "$interface" root 2>/dev/null || true
      echo "Removed traffic control from container $container"
    else
      "${inside[@]}" tc qdisc replace dev "$interface" root netem delay "$delay" rate "$rate" limit 10000 ||
        die "no traffic control in $container; load the kernel's module first: sudo ./load_module.sh"
      echo "Added traffic control to container $container: $rate bandwidth, $delay latency"
    fi
  done
done
