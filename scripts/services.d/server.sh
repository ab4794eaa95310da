# One server process: its ports, certificate, start and stop. A server bears its service's name (postgres; kafka.2 of
# several) and owns $data/SERVER, with its data and ports, and $data/SERVER.log. A service's file defines:
#   servers         its servers' names
#   install         fetches its programs
#   create FOLDER   makes first data in FOLDER, which is renamed when whole: half-made data is never started
#   configure       writes the configuration and sets `command`, before each start
#   is_ready        asks as a client would
#   environment     shows what others need to reach it
# create, configure and is_ready find `server` and its `folder` set.
# shellcheck shell=bash

start_seconds_max=120
stop_seconds_max=30
stop_signal=TERM

# `spawn` leaves a mark in the environment of a server, which its children inherit. The pid file says which process it is,
# and the mark proves it: a pid that passed to another program, or a file copied from another checkout, counts for nothing.
pid_of() {
  local pid
  { pid=$(<"$data/$1/pid"); } 2>/dev/null || return 0
  ! grep -qszxF "LIST_SYNC_SERVER=$data/$1" "/proc/$pid/environ" || echo "$pid"
}

# Prints all processes of SERVER, also those that a killed server, or one whose folder was removed, left behind.
processes() { { grep -lszxF "LIST_SYNC_SERVER=$data/$1" /proc/[0-9]*/environ || true; } | tr -dc '0-9\n'; }

is_alive() { [[ -n $(pid_of "$1") ]]; }

pids() {
  local server
  for server in "${servers[@]}"; do pid_of "$server"; done
}

# A server listens on this machine's loopback, or where the files `host` and `netns` beside its ports say: on that name, inside that
# network namespace. scripts/lab writes them.
host() {
  local host=127.0.0.1
  [[ ! -s $data/$1/host ]] || host=$(<"$data/$1/host")
  echo "$host"
}

inside=()
enter() {
  [[ -s $data/$1/netns ]] || return 0
  inside=(ip netns exec "$(<"$data/$1/netns")")
  as=("${inside[@]}" "${as[@]}")
}

is_listening() { "${inside[@]}" bash -c ': <"/dev/tcp/$0/$1"' "$(host "${server:-}")" "$1" 2>/dev/null; }

# Prints SERVER's port of that KIND: a free one when first asked for, the same ever after.
port() {
  local file=$data/$1/${2:-port}
  [[ -s $file ]] || (
    mkdir -p "$data/$1" "$root/target"
    lock "$root/target/ports.lock"
    [[ ! -s $file ]] || exit 0
    until
      candidate=$(shuf -n 1 -i 20000-29999) # below the range that the kernel gives to clients
      # Not one of another set of servers either, though it may be down just now.
      ! is_listening "$candidate" && ! grep -qsx "$candidate" "$data"/*/*port "$root"/target/services*/*/*port
    do :; done
    echo "$candidate" >"$file"
  )
  cat "$file"
}

# Makes what is missing in $data/tls: an authority's ca.pem, and certificates that it signed, each NAME.pem with NAME.key. Servers show
# `server`, clients `client`. The others are faulty on purpose: expired, of another host, signed by another authority.
certify() (
  need openssl
  lock "$data/tls.lock"
  [[ ! -e $data/tls/complete ]] || exit 0
  mkdir -p "$data/tls"
  cd "$data/tls" || exit
  exec >>"$data/$service.log" 2>&1
  authority ca list_sync-services
  authority other-ca somebody-else
  certificate server localhost ca serverAuth 3650 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  certificate server-expired localhost ca serverAuth -1 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  certificate server-elsewhere db.example ca serverAuth 3650 'subjectAltName=DNS:db.example'
  certificate client list_sync ca clientAuth 3650
  certificate client-expired list_sync ca clientAuth -1
  certificate client-stranger list_sync other-ca clientAuth 3650
  touch complete
  chmod 600 ./*.key ./*keystore.pem
  chmod 644 client*.key # tests read them as whoever runs them
  chown -R "$user" .
)

# Makes an authority: FILE.pem and FILE.key, with the NAME in it.
authority() {
  [[ ! -e $1.pem ]] || return 0
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=$2" -keyout "$1.key" -out "$1.pem"
}

# Makes FILE.pem and FILE.key of NAME, signed by AUTHORITY for USE and for so many DAYS, with further EXTENSIONs; of a server
# also a keystore, the form that Kafka reads.
certificate() {
  local file=$1 name=$2 authority=$3 use=$4 days=$5
  shift 5
  [[ ! -e $file.pem ]] || return 0
  openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout "$file.key" -out "$file.csr"
  openssl x509 -req -in "$file.csr" -CA "$authority.pem" -CAkey "$authority.key" -CAcreateserial -days "$days" -out "$file.part" \
    -extfile <(printf '%s\n' "extendedKeyUsage=$use" "$@")
  [[ $file != server* ]] || cat "$file.key" "$file.part" "$authority.pem" >"keystore${file#server}.pem"
  mv "$file.part" "$file.pem"
}

# Starts SERVER unless it runs, and returns when it answers. Needs a subshell of its own.
start() {
  local deadline=$((SECONDS + start_seconds_max)) child=
  server=$1
  folder=$data/$server
  enter "$server"
  trap '(( $? == 0 )) || show_log "$server" "did not start"' EXIT
  until is_alive "$server" && is_ready >/dev/null 2>&1; do
    if [[ -n $child ]]; then
      kill -0 "$child" 2>/dev/null || die "$server ended while it started"
    elif ! is_alive "$server"; then
      end "$server" KILL # what a killed one left
      prepare
      spawn
      child=$!
    fi
    (( SECONDS < deadline )) || die "$server does not answer after $start_seconds_max s"
    sleep 0.1
  done
}

prepare() {
  mkdir -p "$folder"
  chown "$user" "$folder"
  configure
  check_ports
  [[ ! -d $folder/data ]] || return 0
  rm -rf "$folder/data.part"
  create "$folder/data.part" </dev/null >>"$data/$server.log" 2>&1
  mv "$folder/data.part" "$folder/data"
}

check_ports() {
  local kept deadline=$((SECONDS + 5)) # a killed server's port may stay open for a moment
  for kept in "$folder"/*port; do
    while is_listening "$(<"$kept")"; do
      (( SECONDS < deadline )) || die "$server: port $(<"$kept"), kept since the first start, is used by another program." \
        "Stop that program, or take new ports and empty data: scripts/services down --wipe $service"
      sleep 0.05
    done
  done
}

# In a session of its own and with nothing of the caller open, so that no lock, pipe or Ctrl-C of the caller reaches it.
spawn() {
  (
    for descriptor in /proc/self/fd/*; do
      descriptor=${descriptor##*/}
      (( descriptor <= 2 )) || eval "exec $descriptor>&-"
    done
    exec "${as[@]}" /usr/bin/env "LIST_SYNC_SERVER=$folder" setsid "${command[@]}"
  ) </dev/null >>"$data/$server.log" 2>&1 &
  echo $! >"$folder/pid"
}

show_log() {
  printf 'services: %s %s; the last lines of %s:\n' "$1" "$2" "$data/$1.log"
  tail -n 15 "$data/$1.log" 2>/dev/null | sed 's/^/  | /'
  printf 'services: mend the cause, then: scripts/services up %s (or start afresh after: scripts/services down --wipe %s)\n' \
    "$service" "$service"
} >&2

stop() { end "$1" "$stop_signal"; }

# Sends SIGNAL to SERVER (KILL: to all its processes, as if the machine crashed) and waits until nothing of it is left.
end() {
  local deadline=$((SECONDS + stop_seconds_max)) first all
  first=$(pid_of "$1")
  mapfile -t all < <(processes "$1")
  (( ${#all[@]} )) || return 0
  if [[ $2 != KILL && -n $first ]]; then
    kill "-$2" "$first" 2>/dev/null || true
  else
    kill -KILL "${all[@]}" 2>/dev/null || true
  fi
  while [[ -n $(processes "$1") ]] || any_dying "${all[@]}"; do
    sleep 0.05
    (( SECONDS < deadline )) || processes "$1" | xargs -r kill -KILL 2>/dev/null || true
    (( SECONDS < deadline + 10 )) || die "$1: process $first does not end, not even by SIGKILL"
  done
}

# A dying process loses its mark before its ports and locks. A zombie without other threads has given everything back, even
# if nobody collects it.
any_dying() {
  local pid threads
  for pid in "$@"; do
    threads=(/proc/"$pid"/task/*)
    [[ ! -d /proc/$pid ]] || { (( ${#threads[@]} == 1 )) && grep -qs '^State:.Z' "/proc/$pid/status"; } || return 0
  done
  return 1
}

# Removes data and ports of a whole service; of one broker only the data, since the others know its ports.
wipe() {
  local server
  for server in "${servers[@]}"; do
    if [[ $1 == "$service" ]]; then
      rm -rf "${data:?}/$server" "$data/$server.log" "$data/$service.log"
    else
      rm -rf "$data/$server/data"
    fi
  done
}

# Prints a line for eval, quoted only if it must be.
show() {
  if [[ $2 == *[!a-zA-Z0-9_./:@,-]* ]]; then
    printf 'export %s=%q\n' "$1" "$2"
  else
    printf 'export %s=%s\n' "$1" "$2"
  fi
}
