# Consumers for themselves, each with a group of its own, and members of one group: the predecessor's load tests, beside its figures in docs/performance.md.
# shellcheck shell=bash

# The predecessor's numbers of consumers.
many_counts=(30 50 80 100)

# Topics of a group must have as many partitions as it has members: `connect` makes one with ten before the load.
configure_many() {
  { kafka_section && echo 'topic = { partitions = 10 }' && source_section "${run}_ten" "$postgres_url"; } >ten.toml
}

# NAME TOPIC KIND: a sink that no run before has used.
many_sink() { { kafka_section && sink_section "$1" "kind = \"$3\"
topics = [\"$2\"]"; } >many.toml; }

# What writes no files tells in its log how many rows each of N consumers has read.
check_log() {
  local count
  count=$(sed -n 's/.*progress sink="\([^"]*\)".* rows=\([0-9]*\) .*/\1 \2/p' log | awk '{rows[$1] = $2} END {for (sink in rows) sum += rows[sink]; print sum}')
  (( count == messages * $1 )) || die "$1 consumers have read $count rows, not $1 times $messages"
}

# N KIND
independent() {
  local name=${run}_many_$1_$2_$round
  many_sink "$name" "$topic" "$2"
  measure "$1 independent consumers, $2" 'list_sync consume' "$list_sync" -c many.toml consume --once --instances "$1" --independent
  if [[ $2 == none ]]; then check_log "$1"; else check_files "$name" "$1"; fi
}

# N TOPIC
one_group() {
  local name=${run}_group_$1_$round
  many_sink "$name" "$2" csv
  measure "a group of $1, csv" 'list_sync consume' "$list_sync" -c many.toml consume --once --instances "$1"
  check_files "$name"
}

measure_many() {
  local count kind
  catch_up ten.toml connect
  for (( round = 1; round <= rounds; round++ )); do
    for kind in none csv; do
      for count in "${many_counts[@]}"; do independent "$count" "$kind"; done
    done
    one_group 3 "$topic"
    one_group 10 "${run}_ten.public.$run"
  done
}
