# Three Apache Kafka brokers in KRaft mode, each broker and controller. Every broker listens three times: plain; SASL_SSL
# with SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN for user secret_user, password secret; and SSL for clients with a certificate.
# Broker 1 has two listeners more, whose certificates are faulty. Who comes in plain, and secret_user, may do everything; all
# others what ACLs allow.
# shellcheck shell=bash

servers=(kafka.1 kafka.2 kafka.3)
brokers=(kafka.1 kafka.2 kafka.3) # all of them, whichever this call is about
kafka_version=3.9.0
jars=$programs/kafka-$kafka_version

install() {
  need kcat java
  [[ -d $jars ]] || need mvn
  once "kafka-$kafka_version" fetch_jars
  certify
}

fetch_jars() {
  cat >pom.xml <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>list_sync</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka_version</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$kafka_version</version></dependency>
</dependencies></project>
POM
  mvn -q -B dependency:copy-dependencies -DoutputDirectory=.
}

create() {
  sed "s|^log.dirs=.*|log.dirs=$1|" "$folder/server.properties" >"$folder/format.properties"
  "${as[@]}" java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx128m -cp "$jars/*" kafka.tools.StorageTool format \
    -t list_sync-services-00A -c "$folder/format.properties" \
    --add-scram 'SCRAM-SHA-256=[name=secret_user,password=secret]' --add-scram 'SCRAM-SHA-512=[name=secret_user,password=secret]'
}

# Prints HOST:PORT,… of all brokers for a KIND of port, each with ID@ before it if WITH_ID is given.
addresses() {
  local kind=$1 with_id=${2:-} broker list=
  for broker in "${brokers[@]}"; do list+=,${with_id:+${broker#kafka.}@}$(host "$broker"):$(port "$broker" "$kind"); done
  echo "${list#,}"
}

configure() {
  local own plain sasl ssl controller faulty=
  own=$(host "$server")
  plain=$own:$(port "$server")
  sasl=$own:$(port "$server" sasl-port)
  ssl=$own:$(port "$server" ssl-port)
  controller=$own:$(port "$server" controller-port)
  [[ $server != kafka.1 ]] || faulty=,EXPIRED://$own:$(port "$server" expired-port),ELSEWHERE://$own:$(port "$server" elsewhere-port)
  cat >"$folder/server.properties" <<CONF
process.roles=broker,controller
node.id=${server#kafka.}
controller.quorum.voters=$(addresses controller-port with_id)
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://$plain,SASL_SSL://$sasl,SSL://$ssl,CONTROLLER://$controller$faulty
advertised.listeners=PLAINTEXT://$plain,SASL_SSL://$sasl,SSL://$ssl$faulty
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT,EXPIRED:SSL,ELSEWHERE:SSL
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:secret_user
log.dirs=$folder/data
auto.create.topics.enable=false
socket.send.buffer.bytes=-1
socket.receive.buffer.bytes=-1
num.partitions=3
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=12
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=6
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
# A login lapses soon, so that a test need not wait for long until a withdrawn password counts.
listener.name.sasl_ssl.scram-sha-512.connections.max.reauth.ms=10000
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_secret_user="secret";
ssl.keystore.type=PEM
ssl.keystore.location=$data/tls/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location=$data/tls/ca.pem
listener.name.ssl.ssl.client.auth=required
listener.name.expired.ssl.keystore.location=$data/tls/keystore-expired.pem
listener.name.elsewhere.ssl.keystore.location=$data/tls/keystore-elsewhere.pem
CONF
  cat >"$folder/log4j.properties" <<'CONF'
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c{1} %m%n
CONF
  command=(java -Xms128m -Xmx512m -XX:+UseG1GC -XX:-UsePerfData "-Dlog4j.configuration=file:$folder/log4j.properties"
    -cp "$jars/*" kafka.Kafka "$folder/server.properties")
}

# A broker answers on its port only once the controllers count it in.
is_ready() { "${as[@]}" kcat -b "$(host "$server"):$(port "$server")" -L -m 3; }

environment() {
  show LIST_SYNC_KAFKA "$(addresses port)"
  show LIST_SYNC_KAFKA_SASL "$(addresses sasl-port)"
  show LIST_SYNC_KAFKA_SSL "$(addresses ssl-port)"
  show LIST_SYNC_KAFKA_EXPIRED "$(host kafka.1):$(port kafka.1 expired-port)"
  show LIST_SYNC_KAFKA_ELSEWHERE "$(host kafka.1):$(port kafka.1 elsewhere-port)"
  show LIST_SYNC_KAFKA_JARS "$jars" # Kafka's own tools: java -cp "$LIST_SYNC_KAFKA_JARS/*" org.apache.kafka.tools…
}
