# Hosts and cables. A host is a network namespace; the switch, a bridge, has one of its own, so that nothing is made in the machine's.
# All names bear this checkout's number: what has it is the lab's, and nothing else is touched.
# shellcheck shell=bash

lab=$root/target/lab
number=$(cksum <<<"$root" | cut -d' ' -f1)
shapes=(open brokers slow)
brokers=(broker1 broker2 broker3)
hosts=("${brokers[@]}" db-mysql db-pgsql connector consumer)
declare -A address_of=(
  [broker1]=172.18.0.50 [broker2]=172.18.0.51 [broker3]=172.18.0.52
  [db-mysql]=172.18.0.60 [db-pgsql]=172.18.0.61 [connector]=172.18.0.70 [consumer]=172.18.0.80
)
switch=lab$number-switch
namespace() { echo "lab$number-$1"; }

# What a kernel sets by itself; the machine at hand may have been tuned, and new namespaces take its values. (The congestion control is the
# machine's: a namespace may not choose every one.)
kernel_defaults=(
  net.ipv6.conf.all.disable_ipv6=1
  'net.ipv4.tcp_rmem=4096 131072 6291456'
  'net.ipv4.tcp_wmem=4096 16384 4194304'
)

# Prints a cable's traits in a shape: ms to the switch, ms from it, Mbit/s (0: no limit), bytes that wait before the rate.
# 10 ms stand on each broker's way out only, as tc on the predecessor's containers did it: 20 ms from broker to broker and back.
traits() {
  case $2:$1 in
    brokers:broker* | slow:broker*) echo 10 0 1000 4000000 ;;
    slow:consumer*) echo 200 200 20 1514000 ;;
    *) echo 0 0 0 0 ;;
  esac
}

is_host_up() { [[ -e /run/netns/$(namespace "$1") ]]; }

network_is_whole() {
  local name
  [[ -e /run/netns/$switch ]] || return
  for name in "${hosts[@]}"; do is_host_up "$name" || return; done
}

network_up() {
  local name
  build_wire
  ip netns add "$switch"
  ip -n "$switch" link set lo up
  ip -n "$switch" link add switch type bridge forward_delay 0 stp_state 0
  ip -n "$switch" link set switch up
  [[ -d /etc/netns ]] || { mkdir /etc/netns && touch "$lab/made_etc_netns"; }
  for name in "${hosts[@]}"; do make_host "$name"; done
}

make_host() {
  local space setting
  space=$(namespace "$1")
  ip netns add "$space"
  ip -n "$space" link set lo up
  for setting in "${kernel_defaults[@]}"; do
    ip netns exec "$space" sysctl -qw "$setting" 2>/dev/null || printf 'lab: this kernel does not take %s\n' "$setting" >&2
  done
  mkdir -p "/etc/netns/$space"
  {
    echo '127.0.0.1 localhost'
    for name in "${hosts[@]}"; do echo "${address_of[$name]} $name"; done
  } >"/etc/netns/$space/hosts" # `ip netns exec` puts it over /etc/hosts
}

# Plugs every host into the switch as SHAPE wants it; what is plugged so already is left alone.
network_shape() {
  local name
  for name in "${hosts[@]}"; do
    # shellcheck disable=SC2046
    plug "$name" $(traits "$name" "$1")
  done
  echo "$1" >"$lab/shape"
}

# A cable of HOST, with OUT_MS, IN_MS, RATE and QUEUE. In the switch's namespace its end bears the host's name.
plug() {
  local host=$1 out=$2 in=$3 rate=$4 queue=$5 space
  space=$(namespace "$host")
  if [[ $(cat "$lab/cable.$host" 2>/dev/null) == "$*" ]] && ip -n "$switch" link show "$host" >/dev/null 2>&1; then return; fi
  unplug "$host"
  if (( out + in == 0 )) || has_netem; then
    ip link add "$host" netns "$switch" type veth peer name eth0 netns "$space"
  else
    start_wire "$host" "$out" "$in"
    ip -n "$switch" link set "$host.0" netns "$space" name eth0
  fi
  # Always the same hardware address: others go on knowing the host after its cable was changed.
  # shellcheck disable=SC2086
  ip -n "$space" link set eth0 address "$(printf '02:00:%02x:%02x:%02x:%02x' ${address_of[$host]//./ })"
  ip -n "$space" address add "${address_of[$host]}/24" dev eth0
  if (( out + in > 0 )) && has_netem; then
    delay "$space" eth0 "$out" "$rate"
    delay "$switch" "$host" "$in" "$rate"
  elif (( rate > 0 )); then
    limit "$space" eth0 "$rate" "$queue"
    limit "$switch" "$host" "$rate" "$queue"
  fi
  ip -n "$space" link set eth0 up
  ip -n "$switch" link set "$host" master switch up
  echo "$*" >"$lab/cable.$host"
}

unplug() {
  local pid space
  space=$(namespace "$1")
  rm -f "$lab/cable.$1"
  for pid in $(wires "$1"); do kill -KILL "$pid" 2>/dev/null || true; done
  while [[ -n $(wires "$1") ]]; do sleep 0.02; done
  ip -n "$switch" link del "$1" 2>/dev/null || true
  # A process loses its command line, by which it is found, before its interfaces.
  while ip -n "$space" link show eth0 >/dev/null 2>&1; do
    ip -n "$space" link del eth0 2>/dev/null || true
    sleep 0.02
  done
}

# --- rate and delay

# A burst holds one large segment of 64 KiB at high rates; at low ones the kernel cuts it into frames, as a real cable would see them.
limit() {
  local burst=262144
  (( $3 >= 100 )) || burst=16384
  tc -n "$1" qdisc replace dev "$2" root tbf rate "$3mbit" burst "$burst" limit "$4"
}

delay() { tc -n "$1" qdisc replace dev "$2" root netem delay "$3ms" rate "$4mbit" limit 20000; }

has_netem() {
  [[ -n ${netem:-} ]] || {
    netem=no
    ! tc -n "$switch" qdisc add dev lo root netem delay 1ms 2>/dev/null || { netem=yes && tc -n "$switch" qdisc del dev lo root; }
  }
  [[ $netem == yes ]]
}

# Without netem a program of ours carries the frames: lab.d/wire.
build_wire() {
  has_tun || die 'this kernel has neither netem nor /dev/net/tun; load one of them: modprobe sch_netem, modprobe tun'
  [[ -n $is_built ]] || cargo build --quiet --locked -p wire
  [[ -x $wire ]] || die "there is no $wire"
}
is_built='' # by somebody else: see take_binary
wire=${CARGO_TARGET_DIR:-$root/target}/debug/wire

has_tun() { [[ -c /dev/net/tun ]]; }

# In a session of its own, so that Ctrl-C here does not pull it.
start_wire() {
  local pipe=$lab/wire.$1 log=$lab/wire.$1.log deadline=$((SECONDS + 10))
  rm -f "$pipe"
  mkfifo "$pipe"
  ip netns exec "$switch" setsid "$wire" "$1.0" "$1" "$2" "$3" 9>&- <>"$pipe" >"$log" 2>&1 &
  disown # its end is no news
  until grep -qsx ready "$log"; do
    (( SECONDS < deadline )) || die "no cable for $1: $(<"$log")"
    sleep 0.02
  done
}

wires() {
  local pid
  for pid in $(ip netns pids "$switch" 2>/dev/null); do
    ! tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q " $1\.0 $1 " || echo "$pid"
  done
}

# --- faults

cut_cable() { ip -n "$switch" link set "$1" down; }
heal_cable() { ip -n "$switch" link set "$1" up; }

# Isolated ports of a bridge do not reach one another, but all others.
split_brokers() { isolate on; }
join_brokers() { isolate off; }
isolate() {
  local broker
  for broker in "${brokers[@]}"; do bridge -n "$switch" link set dev "$broker" isolated "$1"; done
}

# --- the end

network_down() {
  local space
  for space in $(ip netns list | awk -v lab="^lab$number-" '$1 ~ lab {print $1}'); do
    ip netns pids "$space" | xargs -r kill -KILL 2>/dev/null || true
    ip netns del "$space"
  done
  rm -rf "/etc/netns/lab$number-"*
  [[ ! -e $lab/made_etc_netns ]] || { rmdir /etc/netns 2>/dev/null || true; }
  rm -f "$lab"/{made_etc_netns,shape,cable.*,wire.*}
}

network_status() {
  local name
  [[ -e /run/netns/$switch ]] || { echo 'network: down' && return; }
  printf 'network: up, shape %s, delay by %s, TCP by %s\n' "$(cat "$lab/shape" 2>/dev/null)" "$(has_netem && echo netem || echo wire)" \
    "$(<"/proc/sys/net/ipv4/tcp_congestion_control")"
  for name in "${hosts[@]}"; do
    printf '%-10s %-12s %-16s %s\n' "$name" "${address_of[$name]}" "$(state "$name")" "$(dropped "$name")"
  done
}

state() {
  local flags
  flags=$(ip -n "$switch" -d link show "$1" 2>/dev/null) || { echo 'no cable' && return; }
  if [[ $flags != *[,\<]UP[,\>]* ]]; then echo cut; elif [[ $flags == *'isolated on'* ]]; then echo split; else echo plugged; fi
}

# What did not get through, on the way out and in: by the rate's queue, and by the delay.
dropped() {
  local out in wire
  is_host_up "$1" || return 0
  out=$(tc -n "$(namespace "$1")" -s qdisc show dev eth0 2>/dev/null | grep -oP 'dropped \K\d+' | head -1)
  in=$(tc -n "$switch" -s qdisc show dev "$1" 2>/dev/null | grep -oP 'dropped \K\d+' | head -1)
  wire=$(wire_counters "$1" | grep -oP '(dropped|lost)=\K\d+' | awk '{sum += $1} END {print sum + 0}')
  printf 'dropped: %s out, %s in by the rate, %s by the delay\n' "${out:-0}" "${in:-0}" "$wire"
}

# The wire answers each line with two.
wire_counters() {
  [[ -p $lab/wire.$1 ]] || return 0
  echo >"$lab/wire.$1"
  sleep 0.05
  tail -n 2 "$lab/wire.$1.log"
}
