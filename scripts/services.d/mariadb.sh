# MariaDB 10.11 of Debian 12, ready for binary log readers. Much is MySQL's; what differs is said here.
# shellcheck shell=bash

. "$here/mysql.sh"
servers=(mariadb)
programs_mariadb=$programs/mariadb/usr

install() {
  once mariadb unpack bookworm mariadb-server-core mariadb-client-core
  certify
}

create() {
  "${as[@]}" "$programs_mariadb/bin/mariadb-install-db" --defaults-file="$folder/my.cnf" --basedir="$programs_mariadb" --datadir="$1" \
    --auth-root-authentication-method=normal --skip-test-db
}

configure() {
  cat >"$folder/my.cnf" <<CONF
[mariadbd]
basedir = $programs_mariadb
plugin-dir = $programs_mariadb/lib/mysql/plugin
lc-messages-dir = $programs_mariadb/share/mysql
character-sets-dir = $programs_mariadb/share/mysql/charsets
datadir = $folder/data
socket = $folder/mariadb.sock
pid-file = $folder/data/mariadbd.pid
init-file = $folder/init.sql
bind-address = $(host "$server")
port = $(port "$server")
skip-name-resolve
ssl-ca = $data/tls/ca.pem
ssl-cert = $data/tls/server.pem
ssl-key = $data/tls/server.key
server-id = 2
log-bin = binlog
binlog-format = ROW
binlog-row-image = FULL
binlog-row-metadata = FULL
gtid-strict-mode = ON
sync-binlog = 0
innodb-flush-log-at-trx-commit = 2
innodb-buffer-pool-size = 512M
innodb-log-file-size = 256M
max-allowed-packet = 256M
local-infile = ON
CONF
  write_init_sql
  command=("$programs_mariadb/sbin/mariadbd" --defaults-file="$folder/my.cnf")
}

is_ready() {
  "${as[@]}" "$programs_mariadb/bin/mariadb" --no-defaults --connect-timeout=3 -h "$(host "$server")" -P "$(port "$server")" -urepl -prepl -e 'SELECT 1' exampledb
}

environment() {
  show LIST_SYNC_MARIADB_URL "mariadb://repl:repl@$(host mariadb):$(port mariadb)/exampledb"
  show LIST_SYNC_MARIADB_SOCKET "$data/mariadb/mariadb.sock"
  show LIST_SYNC_MARIADB_BIN "$programs_mariadb/bin" # mariadb, mariadb-binlog, mariadb-dump…
}
