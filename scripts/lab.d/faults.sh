# Partitions of the network that heal, while changes go on in both databases: what is cut stands still, and then goes on by itself.
# shellcheck shell=bash

cut_seconds=20
# Who still has something to carry shows it within this time, and has carried it within the second.
drain_seconds=6
drain_seconds_max=60
go_on_seconds_max=180
rate=300 # changes a second in each database

# A short load through the slow network.
check() {
  local rows=10000
  while (( $# )); do
    take_binary "$@" || bad_usage "check: no option \"$1\""
    shift 2
  done
  begin_check
  say "$rows changes in each database, network slow"
  carry "$rows" postgres mysql
  printf 'carried and proved in %s s, %s MB over the consumer'\''s cable\n' "$(seconds "$all_ms")" "$megabytes"
}

# PARTITION…: consumer, connector, brokers (default: all, one after the other).
partition() {
  local name names=() seeders=() service
  while (( $# )); do
    case $1 in
      consumer | connector | brokers) names+=("$1") ;;
      *) take_binary "$@" || bad_usage "partition: no \"$1\"; there are: consumer, connector, brokers"; shift ;;
    esac
    shift
  done
  (( ${#names[@]} )) || names=(consumer connector brokers)
  begin_check
  say 'a pipeline under a steady load'
  lay_out postgres mysql
  start_on connector connect
  start_on consumer consume
  # The application's hosts are the databases' own: they go on while the connector is cut off.
  for service in postgres mysql; do
    ip netns exec "$(namespace "${host_of[$service]}")" "$list_sync" -q seed --source "${load}_$service" --table "$load" \
      --rows 10000000 --rate "$rate" --batch 10 >"seed.$service.log" 2>&1 9>&- </dev/null &
    seeders+=($!)
  done
  running+=("${seeders[@]}")
  go_on 0
  for name in "${names[@]}"; do
    case $name in
      brokers) fault 'the brokers do not reach one another' split_brokers join_brokers ;;
      *) fault "the $name's cable is pulled" "cut_cable $name" "heal_cable $name" ;;
    esac
  done
  say 'the proof'
  kill "${seeders[@]}"
  wait "${seeders[@]}" || die "seeding failed: $(cat seed.*.log)"
  running=("${running[@]:0:2}")
  cat seed.*.log >seed.log
  wait_for_files
  stop "${running[1]}" consume
  stop "${running[0]}" connect
  running=()
  prove
  cat verify.log
  clean_up
}

begin_check() {
  prepare
  if [[ -z $is_built ]]; then
    cargo build --quiet --locked -p list_sync_cli 9>&-
    list_sync=$(realpath "${CARGO_TARGET_DIR:-target}/debug/list_sync")
  fi
  tear_down_at_the_end
  raise slow
}

# NAME BREAK MEND: nothing may pass while it is broken, and everything goes on after.
fault() {
  local still after
  say "$1 for $cut_seconds s"
  $2
  still=$(drained)
  sleep $(( cut_seconds - drain_seconds ))
  after=$(rows)
  $3
  (( still == after )) || die "that was no partition: rows in the files went on from $still to $after"
  go_on "$after"
}

# Waits until no more rows come, and prints how many there are: what was on its way before the cut still arrives, over a slow cable not at once.
drained() {
  local began=$SECONDS before=-1 now
  now=$(rows)
  until (( now == before )); do
    (( SECONDS - began < drain_seconds_max )) || break
    before=$now
    sleep "$drain_seconds"
    now=$(rows)
  done
  echo "$now"
}

# Waits until more than ROWS rows are in the files.
go_on() {
  local began=$SECONDS
  until (( $(rows) > $1 )); do
    (( SECONDS - began < go_on_seconds_max )) || die "nothing goes on after $go_on_seconds_max s; see the logs in $folder"
    is_running "${running[@]}" || die "a part of the pipeline ended; see the logs in $folder"
    sleep 0.3
  done
  printf 'rows come into the files after %s s\n' $(( SECONDS - began ))
}

rows() { echo $(( $(lines insert) + $(lines delete) )); }

# Whether this machine can have a lab at all; says why not.
possible() {
  local why=
  if (( EUID != 0 )); then
    why='network namespaces are root'\''s to make'
  elif ! command -v ip >/dev/null; then
    return 0 # it is installed first
  elif ! ip netns add "$switch-try" 2>/dev/null; then
    why='this machine does not let root make network namespaces'
  else
    if ! ip -n "$switch-try" link add try type bridge 2>/dev/null; then
      why='this kernel has no bridges'
    elif ! tc -n "$switch-try" qdisc add dev try root tbf rate 1mbit burst 16384 limit 1000000 2>/dev/null; then
      why='this kernel has no tbf to limit a rate'
    elif ! has_tun && ! tc -n "$switch-try" qdisc replace dev try root netem delay 1ms 2>/dev/null; then
      why='this kernel has neither netem nor /dev/net/tun'
    fi
    ip netns del "$switch-try"
  fi
  [[ -z $why ]] || { echo "$why" && return 1; }
}
