# PostgreSQL with wal2json, ready for logical decoding: 15 of Debian 12, 17 of trixie, 18 of sid.
# shellcheck shell=bash

case $service in
  postgres) version=15 suite=bookworm ;;
  postgres17) version=17 suite=trixie ;;
  postgres18) version=18 suite=sid ;;
esac
servers=("$service")
stop_signal=INT # "fast": do not wait for clients to leave
programs_postgres=$programs/postgres$version/usr/lib/postgresql/$version/bin

install() {
  need /usr/share/zoneinfo
  once "postgres$version" unpack "$suite" "postgresql-$version" "postgresql-$version-wal2json"
  certify
}

create() {
  "${as[@]}" "$programs_postgres/initdb" --no-sync -D "$1" -U postgres -E UTF8 --locale=C.UTF-8 -A trust
  "${as[@]}" "$programs_postgres/postgres" --single -D "$1" postgres <<'SQL'
CREATE DATABASE exampledb
CREATE ROLE secret_user LOGIN REPLICATION PASSWORD 'secret'
SQL
}

# synchronous_commit stays on: off would hold back what a replication client sees by up to wal_writer_delay. Tests that
# commit often set it off in their own session.
configure() {
  rm -f "$folder"/{data/postmaster.pid,.s.PGSQL.*.lock} # a killed server's; its pid may not be free again yet
  cat >"$folder/postgresql.conf" <<CONF
listen_addresses = '$(host "$server")'
port = $(port "$server")
unix_socket_directories = '$folder'
hba_file = '$folder/pg_hba.conf'
ident_file = '$folder/pg_ident.conf'
ssl = on
ssl_ca_file = '$data/tls/ca.pem'
ssl_cert_file = '$data/tls/server.pem'
ssl_key_file = '$data/tls/server.key'
wal_level = logical
max_replication_slots = 50
max_wal_senders = 50
max_connections = 200
max_prepared_transactions = 20
shared_buffers = 256MB
max_wal_size = 4GB
timezone = 'UTC'
log_timezone = 'UTC'
CONF
  # Newer fix releases load listed output plugins only, and wal2json is not on the built-in list.
  if [[ $("$programs_postgres/postgres" --describe-config) == *output_plugin_libraries* ]]; then
    echo "output_plugin_libraries = 'pgoutput, test_decoding, wal2json'" >>"$folder/postgresql.conf"
  fi
  echo 'certificates list_sync certified' >"$folder/pg_ident.conf" # the CN of the clients' certificates, and a role
  cat >"$folder/pg_hba.conf" <<'CONF'
local all,replication all                    trust
hostssl all certified 0.0.0.0/0 cert map=certificates
host  all,replication postgres  samenet trust
host  all,replication all       samenet scram-sha-256
CONF
  command=("$programs_postgres/postgres" -D "$folder/data" -c "config_file=$folder/postgresql.conf")
}

is_ready() {
  "${as[@]}" "$programs_postgres/psql" "host=$(host "$server") port=$(port "$server") user=postgres dbname=exampledb connect_timeout=3" -c 'SELECT 1'
}

environment() {
  local prefix=LIST_SYNC_${service^^}
  show "${prefix}_URL" "postgres://postgres@$(host "$service"):$(port "$service")/exampledb"
  show "${prefix}_SOCKET" "$data/$service" # a directory
  show "${prefix}_BIN" "$programs_postgres" # psql, pg_recvlogical, pg_basebackup…
}
