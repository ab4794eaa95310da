#!/bin/bash
# Run once by the image of MySQL, when its data folder is new: the test table, who owns it, and who reads its changes.
set -euo pipefail

quoted() {
  local text=${1//\\/\\\\}
  printf "'%s'" "${text//\'/\'\'}"
}

MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --user=root "$MYSQL_DATABASE" <<SQL
CREATE TABLE test (id BIGINT PRIMARY KEY, category VARCHAR(255), domain VARCHAR(255), \`timestamp\` TIMESTAMP(6) NULL DEFAULT NULL,
  INDEX test_domain (domain)) CHARACTER SET utf8mb4;
CREATE USER 'loader'@'%' IDENTIFIED BY $(quoted "$LOADER_PASSWORD");
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, INDEX ON \`$MYSQL_DATABASE\`.* TO 'loader'@'%';
CREATE USER 'list_sync'@'%' IDENTIFIED BY $(quoted "$LIST_SYNC_PASSWORD");
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'list_sync'@'%';
GRANT SELECT ON \`$MYSQL_DATABASE\`.* TO 'list_sync'@'%';
SQL
