# MySQL of Debian sid, ready for binary log readers.
# shellcheck shell=bash

servers=(mysql)
programs_mysql=$programs/mysql/usr

install() {
  once mysql unpack sid mysql-server-core mysql-client-core
  certify
}

create() {
  "${as[@]}" "$programs_mysql/sbin/mysqld" --defaults-file="$folder/my.cnf" --datadir="$1" --initialize-insecure
}

# The log is written at each commit but not synced: a killed server loses nothing, only a crash of the machine would.
configure() {
  rm -f "$folder/mysql.sock.lock" # a killed server's; its pid may not be free again yet
  cat >"$folder/my.cnf" <<CONF
[mysqld]
basedir = $programs_mysql
plugin-dir = $programs_mysql/lib/mysql/plugin
lc-messages-dir = $programs_mysql/share/mysql
character-sets-dir = $programs_mysql/share/mysql/charsets
datadir = $folder/data
socket = $folder/mysql.sock
pid-file = $folder/data/mysqld.pid
init-file = $folder/init.sql
bind-address = $(host "$server")
port = $(port "$server")
mysqlx = OFF
skip-name-resolve
ssl-ca = $data/tls/ca.pem
ssl-cert = $data/tls/server.pem
ssl-key = $data/tls/server.key
server-id = 1
log-bin = binlog
binlog-format = ROW
binlog-row-image = FULL
binlog-row-metadata = FULL
gtid-mode = ON
enforce-gtid-consistency = ON
sync-binlog = 0
innodb-flush-log-at-trx-commit = 2
innodb-buffer-pool-size = 512M
innodb-redo-log-capacity = 256M
max-allowed-packet = 256M
secure-file-priv =
local-infile = ON
CONF
  write_init_sql
  command=("$programs_mysql/sbin/mysqld" --defaults-file="$folder/my.cnf")
}

# Run at each start, before the port opens; none of it enters the binary log.
write_init_sql() {
  cat >"$folder/init.sql" <<'SQL'
SET sql_log_bin = 0;
CREATE USER IF NOT EXISTS 'repl'@'%' IDENTIFIED BY 'repl';
GRANT ALL ON *.* TO 'repl'@'%' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS exampledb;
SQL
}

is_ready() {
  "${as[@]}" "$programs_mysql/bin/mysql" --no-defaults --connect-timeout=3 -h "$(host "$server")" -P "$(port "$server")" -urepl -prepl -e 'SELECT 1' exampledb
}

environment() {
  show LIST_SYNC_MYSQL_URL "mysql://repl:repl@$(host mysql):$(port mysql)/exampledb"
  show LIST_SYNC_MYSQL_SOCKET "$data/mysql/mysql.sock"
  show LIST_SYNC_MYSQL_BIN "$programs_mysql/bin" # mysql, mysqlbinlog, mysqldump…
}
