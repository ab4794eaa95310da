# Steps of scripts/test. Each is timed. A step may run beside the others: it writes into a log of its own,
# which is shown whole if it fails, and the first that fails ends the run. All seconds are printed at the end.
# shellcheck shell=bash

steps=$target/test       # of the build: logs of steps that run beside others, and the seconds of all
declare -A beside_pid=() # of steps that run beside: the leaders of their process groups
stop_seconds_max=60

# NAME COMMAND...: in the foreground.
step() {
  local name=$1 began=$SECONDS
  shift
  look_beside
  printf '\n== %s (%s s)\n' "$name" "$SECONDS"
  "$@"
  note "$name" "$began"
}

# NAME COMMAND...: beside what follows. It may itself consist of steps. Job control gives it a process group
# of its own. Without that it ignores SIGINT, and so does all that it starts.
beside() {
  local name=$1
  shift
  set -m
  (
    set +m
    beside_pid=()
    began=$SECONDS
    "$@"
    note "$name" "$began"
  ) </dev/null >"$steps/$name.log" 2>&1 &
  beside_pid[$name]=$!
  set +m
  printf '   beside: %s (%s s), into %s\n' "$name" "$SECONDS" "$steps/$name.log"
}

note() { printf '%s\t%s\t%s\n' "$1" "$2" "$((SECONDS - $2))" >>"$steps/seconds"; }

# Waits for those steps beside that have ended.
look_beside() {
  local name running
  running=" $(jobs -rp | tr '\n' ' ')"
  for name in "${!beside_pid[@]}"; do
    [[ $running == *" ${beside_pid[$name]} "* ]] || finish_one "$name"
  done
}

# Waits for all steps beside.
finish_beside() {
  local name ended
  while (( ${#beside_pid[@]} )); do
    ended=
    wait -n -p ended "${beside_pid[@]}" || true
    for name in "${!beside_pid[@]}"; do
      [[ ${beside_pid[$name]} != "$ended" ]] || finish_one "$name"
    done
  done
}

finish_one() {
  local name=$1 pid=${beside_pid[$1]}
  unset "beside_pid[$name]"
  if wait "$pid"; then
    printf '   passed: %s (%s s)\n' "$name" "$SECONDS"
  else
    printf '\n== failed: %s; its log:\n' "$name"
    cat "$steps/$name.log"
    die "$name failed"
  fi
}

# Ends the steps beside with all that they started, but for servers, which have process groups of their own.
stop_beside() {
  local group deadline=$((SECONDS + stop_seconds_max))
  for group in "${beside_pid[@]}"; do kill -TERM -- "-$group" 2>/dev/null || true; done
  for group in "${beside_pid[@]}"; do
    while kill -0 -- "-$group" 2>/dev/null; do
      (( SECONDS < deadline )) || kill -KILL -- "-$group" 2>/dev/null || true
      sleep 0.2
    done
  done
}

show_seconds() {
  [[ -s $steps/seconds ]] || return 0
  printf '\n%-58s %7s %7s\n' step 'from s' 'took s'
  awk -F '\t' '{printf "%-58s %7d %7d\n", $1, $2, $3}' <(sort -t $'\t' -k 2n,2 -s "$steps/seconds")
  printf '%-58s %7s %7d\n' all '' "$SECONDS"
}
