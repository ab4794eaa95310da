# The test load through the lab: seeded into databases, carried by connectors beside them, written by a consumer at the end of its cable, and
# proved. The times are the predecessor's: from the first change to the last one in the files.
# shellcheck shell=bash

consume_seconds_max=600

# Runs a program on HOST beside this script. Sets `started` to its pid.
start_on() {
  local log=$folder/$2.log
  ip netns exec "$(namespace "$1")" "$list_sync" "${@:2}" 9>&- </dev/null >>"$log" 2>&1 &
  started=$!
  running+=("$started")
}
running=()
properties= # of librdkafka, to try others than the defaults

stop() {
  kill "$1" 2>/dev/null || true
  wait "$1" || die "\`list_sync $2\` did not end well: $(tail -n 3 "$folder/$2.log")"
}

stop_all() {
  local pid
  for pid in "${running[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  running=()
}

# Names of this run alone, and a configuration for SERVICE…, in a folder of its own.
lay_out() {
  local service url
  load=load_$(date +%s)_$RANDOM
  folder=$lab/run/$load
  mkdir -p "$folder"
  cd "$folder" || exit
  eval "$("$root/scripts/services" env "${services[@]}")"
  printf '[kafka]\nbrokers = ["%s"]\n' "${LIST_SYNC_KAFKA//,/\", \"}" >list_sync.toml
  printf 'properties = { %s }\n' "$properties" >>list_sync.toml
  for service in "$@"; do
    url=LIST_SYNC_${service^^}_URL
    printf '\n[[source]]\nname = "%s"\nurl = "%s"\ntables = ["%s"]\nsnapshot = "never"\n' "${load}_$service" "${!url}" "$load" >>list_sync.toml
  done
  printf '\n[[sink]]\nname = "%s"\ntopics = ["%s_*"]\npath = "{source}/{table}"\n' "$load" "$load" >>list_sync.toml
  on connector "$list_sync" -q seed --table "$load" --rows 0 >/dev/null
  on connector "$list_sync" -q connect --once # each source marks the place it reads from
}

# Prints a count of what was seeded, of all databases: inserted, updated, deleted.
seeded() { awk -v what="$1" 'index(tolower($0), what " rows") {gsub(/[,_]/, "", $NF); sum += $NF} END {print sum + 0}' seed.log; }

lines() { { cat ./*/"${load}_$1.csv" 2>/dev/null || true; } | grep -c "^[ID]," || true; }

# Waits until the files have as many rows as changes were seeded, and fails when they have more.
wait_for_files() {
  local inserts deletes deadline=$((SECONDS + consume_seconds_max))
  inserts=$(( $(seeded inserted) + $(seeded updated) ))
  deletes=$(( $(seeded deleted) + $(seeded updated) ))
  until (( $(lines insert) >= inserts && $(lines delete) >= deletes )); do
    (( SECONDS < deadline )) || die "after $consume_seconds_max s the files lack rows; see $folder"
    is_running "${running[@]}" || die "a part of the pipeline ended; see the logs in $folder"
    sleep 0.3
  done
  wanted=$inserts,$deletes
}

is_running() {
  local pid
  for pid in "$@"; do kill -0 "$pid" 2>/dev/null || return; done
}

# Each change is in the files once, and the files fold to the tables.
prove() {
  local found
  found=$(lines insert),$(lines delete)
  [[ $found == "$wanted" ]] || die "rows in the files (insert,delete): $found, wanted $wanted; see $folder"
  on connector "$list_sync" -q verify >verify.log || die "the files do not fold to the tables: $(<verify.log)"
}

received_bytes() { on consumer cat /sys/class/net/eth0/statistics/rx_bytes; }
now_ms() { local now=${EPOCHREALTIME/./}; echo $(( now / 1000 )); }

# One load of ROWS into each SERVICE. Sets seed_ms, all_ms and megabytes (that went over the consumer's cable).
carry() {
  local rows=$1 began bytes connector consumer
  shift
  lay_out "$@"
  start_on connector connect && connector=$started
  start_on consumer consume && consumer=$started
  bytes=$(received_bytes)
  began=$(now_ms)
  on connector "$list_sync" -q seed --table "$load" --rows "$rows" >seed.log 2>&1 || die "seeding failed: $(<seed.log)"
  seed_ms=$(( $(now_ms) - began ))
  wait_for_files
  all_ms=$(( $(now_ms) - began ))
  bytes=$(( $(received_bytes) - bytes ))
  megabytes=$(( bytes / 1000000 ))
  stop "$consumer" consume
  stop "$connector" connect
  running=()
  prove
  clean_up
}

# The servers keep nothing of a load but its topics.
clean_up() {
  local slot=list_sync_${load}_postgres
  cd "$root" || exit
  on connector "$LIST_SYNC_POSTGRES_BIN/psql" -q "$LIST_SYNC_POSTGRES_URL" -c "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '$slot'" \
    -c "DROP PUBLICATION IF EXISTS $slot" -c "DROP TABLE IF EXISTS $load" >/dev/null 2>&1
  rm -rf "$folder"
}

# What this call starts ends with it; a lab that was up stays up, whole.
tear_down_at_the_end() {
  was_up=yes
  network_is_whole || was_up=no
  trap tear_down EXIT
}

tear_down() {
  stop_all
  cd "$root" || exit
  if [[ $was_up == no ]]; then
    servers_down
    network_down
  else
    join_brokers
    heal_cable connector
    heal_cable consumer
  fi
}

seconds() { printf '%d.%d' $(( $1 / 1000 )) $(( $1 % 1000 / 100 )); }

run() {
  list_sync=''
  local rows=1000000 wanted_shapes=() databases=() shape database
  while (( $# )); do
    case $1 in
      --rows) [[ ${2:-} =~ ^[1-9][0-9]{2,8}$ ]] || bad_usage '--rows needs a number from 100'; rows=$2; shift ;;
      --shape) [[ " ${shapes[*]} " == *" ${2:-} "* ]] || bad_usage "no shape \"${2:-}\""; wanted_shapes+=("$2"); shift ;;
      --binary) [[ -x ${2:-} ]] || bad_usage '--binary needs a program'; list_sync=$(realpath "$2"); shift ;;
      --set) [[ ${2:-} =~ ^[a-z.]+=[^\"]+$ ]] || bad_usage '--set needs NAME=VALUE'; properties+="${properties:+, }\"${2%%=*}\" = \"${2#*=}\""; shift ;;
      postgres | mysql) databases+=("$1") ;;
      *) bad_usage "run: no database or option \"$1\"" ;;
    esac
    shift
  done
  (( ${#wanted_shapes[@]} )) || wanted_shapes=("${shapes[@]}")
  (( ${#databases[@]} )) || databases=(postgres mysql)
  prepare
  if [[ -z $list_sync ]]; then
    say 'building'
    cargo build --quiet --locked --release -p list_sync_cli 9>&-
    list_sync=$(realpath "${CARGO_TARGET_DIR:-target}/release/list_sync")
  fi
  tear_down_at_the_end
  local lines=()
  for database in "${databases[@]}"; do
    for shape in "${wanted_shapes[@]}"; do
      raise "$shape"
      say "$database, network $shape: $rows changes"
      carry "$rows" "$database"
      lines+=("$(table_line "$database" "$shape")")
      echo "${lines[-1]}"
    done
  done
  say "$rows changes, from the first one in the database to the last one in the files; each proved by \`verify\`"
  printf '%s\n' '| database | network | seeding s | all s | predecessor: seeding s, all s | MB to the consumer | floor of its cable s |' '|---|---|---|---|---|---|---|' "${lines[@]}"
}

table_line() {
  local theirs=– floor=–
  case $1:$2 in
    postgres:open) theirs='43.1, 51.3' ;;
    postgres:brokers) theirs='51.8, 61.4' ;;
  esac
  [[ $2 != slow ]] || floor=$(seconds $(( megabytes * 8000 / 20 )))
  printf '| %s | %s | %s | %s | %s | %s | %s |' "$1" "$2" "$(seconds "$seed_ms")" "$(seconds "$all_ms")" "$theirs" "$megabytes" "$floor"
}
