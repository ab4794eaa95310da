# What the cables really do.
# shellcheck shell=bash

measure() {
  printf '| from | to | round trip, ms | Mbit/s there | Mbit/s back |\n|---|---|---|---|---|\n'
  local pair
  for pair in broker2:broker1 connector:broker1 connector:db-pgsql consumer:broker1; do measure_pair "${pair%:*}" "${pair#*:}"; done
}

measure_pair() {
  local trip there back
  trip=$(on "$1" ping -qc 5 -i 0.2 "$2" | awk -F'[=/ ]+' '/^rtt/ {print $6}') # the shortest: the first one waits for an address, too
  there=$(rate "$1" "$2")
  back=$(rate "$1" "$2" -R)
  printf '| %s | %s | %s | %s | %s |\n' "$1" "$2" "$trip" "$there" "$back"
}

on() { ip netns exec "$(namespace "$1")" "${@:2}"; }

# What arrived in five seconds, after the first two, in which TCP finds the rate. The server ends after one client.
rate() {
  on "$2" iperf3 --server --one-off --port 5001 9>&- >/dev/null &
  sleep 0.3
  on "$1" iperf3 --client "$2" --port 5001 --omit 2 --time 5 --format m "${@:3}" |
    awk '/receiver/ {for (i = 2; i <= NF; i++) if ($i == "Mbits/sec") print $(i - 1)}'
  wait
}
