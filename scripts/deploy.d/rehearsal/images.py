"""What the entry points of the images of others do before they start the server, in so far as the compose files rely on it: with the
programs of scripts/services in place of the images' own."""

import glob
import os

USER = "65533:65533"  # servers refuse to be root


def postgres(programs):
    """The folder of data, a password for each connection over TCP, the database, the scripts of /docker-entrypoint-initdb.d."""
    (programs,) = glob.glob(f"{programs}/postgres15/usr/lib/postgresql/15/bin")
    entry = """#!/bin/bash
set -euo pipefail
data=/var/lib/postgresql/data
if [[ ! -s $data/PG_VERSION ]]; then
  initdb -D $data -U postgres --no-sync --pwfile=<(printf '%s\\n' "$POSTGRES_PASSWORD") >/dev/null
  printf 'host all all all scram-sha-256\\n' >>$data/pg_hba.conf
  printf "listen_addresses = '*'\\n" >>$data/postgresql.conf
  pg_ctl -D $data -o "$(printf '%q ' "${@:2}") -c listen_addresses=" -w start
  psql -U postgres -v ON_ERROR_STOP=1 -v name="$POSTGRES_DB" -d postgres <<<'CREATE DATABASE :"name"'
  for script in /docker-entrypoint-initdb.d/*.sh; do "$script"; done
  pg_ctl -D $data -m fast -w stop
fi
exec postgres -D $data "${@:2}"
"""
    return {
        "user": USER, "files": {"/entry": entry}, "entry": ["/entry"],
        "environment": {"PATH": f"{programs}:/usr/bin:/bin"}, "folders": ["/run/postgresql"],
    }


def mysql(programs):
    """The folder of data, the password of root, the database, the scripts of /docker-entrypoint-initdb.d."""
    programs = f"{programs}/mysql/usr"
    settings = f"""[client]
socket = /run/mysqld/mysqld.sock
[mysqld]
socket = /run/mysqld/mysqld.sock
pid-file = /run/mysqld/mysqld.pid
datadir = /var/lib/mysql
host-cache-size = 0
skip-name-resolve
secure-file-priv = NULL
mysqlx = OFF
basedir = {programs}
plugin-dir = {programs}/lib/mysql/plugin
lc-messages-dir = {programs}/share/mysql
character-sets-dir = {programs}/share/mysql/charsets
"""
    entry = """#!/bin/bash
set -euo pipefail
if [[ ! -d /var/lib/mysql/mysql ]]; then
  "$@" --initialize-insecure
  "$@" --skip-networking &
  until mysqladmin -u root --silent ping 2>/dev/null; do kill -0 $!; sleep 0.2; done
  mysql -u root <<<"ALTER USER 'root'@'localhost' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD'; CREATE USER 'root'@'%' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
    GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION; CREATE DATABASE $MYSQL_DATABASE"
  for script in /docker-entrypoint-initdb.d/*.sh; do "$script"; done
  MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysqladmin -u root shutdown
  wait
fi
exec "$@"
"""
    return {
        "user": USER, "files": {"/entry": entry, "/etc/my.cnf": settings, "/etc/mysql/my.cnf": settings}, "entry": ["/entry"],
        "environment": {"PATH": f"{programs}/sbin:{programs}/bin:/usr/bin:/bin"}, "folders": ["/run/mysqld"],
    }


def kafka(programs):
    """KAFKA_A_B=c becomes a.b=c; the folder of data is formatted with CLUSTER_ID."""
    (jars,) = glob.glob(f"{programs}/kafka-*[0-9]")
    entry = f"""#!/bin/bash
set -euo pipefail
env | grep '^KAFKA_' | grep -vE '^KAFKA_(HEAP_OPTS|OPTS|JVM_PERFORMANCE_OPTS|LOG4J_ROOT_LOGLEVEL)=' | while IFS='=' read -r name value; do
  name=${{name#KAFKA_}} name=${{name,,}} name=${{name//___/-}} name=${{name//__/$'\\1'}} name=${{name//_/.}}
  printf '%s=%s\\n' "${{name//$'\\1'/_}}" "$value"
done >/tmp/server.properties
printf 'log4j.rootLogger=%s, out\\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\\nlog4j.appender.out.layout=org.apache.log4j.PatternLayout\\n' \
  "$KAFKA_LOG4J_ROOT_LOGLEVEL" >/tmp/log4j.properties
java -Xmx64m -XX:TieredStopAtLevel=1 -cp '{jars}/*' kafka.tools.StorageTool format --ignore-formatted -t "$CLUSTER_ID" -c /tmp/server.properties
exec java $KAFKA_HEAP_OPTS -XX:-UsePerfData -Dlog4j.configuration=file:/tmp/log4j.properties -cp '{jars}/*' kafka.Kafka /tmp/server.properties
"""
    asks = f"""#!/bin/sh
exec java $KAFKA_HEAP_OPTS -cp '{jars}/*' kafka.admin.BrokerApiVersionsCommand "$@"
"""
    return {
        "user": USER, "files": {"/entry": entry, "/opt/kafka/bin/kafka-broker-api-versions.sh": asks}, "entry": ["/entry"],
        "environment": {"PATH": f"{os.path.dirname(os.path.realpath('/usr/bin/java'))}:/usr/bin:/bin"}, "folders": [],
    }


ENTRIES = {"postgres": postgres, "mysql": mysql, "apache/kafka": kafka}
