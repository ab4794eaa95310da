# The servers of the lab: those of scripts/services, on the lab's hosts, under its names and ports, in a folder of their own.
# shellcheck shell=bash

export LIST_SYNC_SERVICES=$lab/servers
services=(postgres mysql kafka)
declare -A host_of=([postgres]=db-pgsql [mysql]=db-mysql [kafka.1]=broker1 [kafka.2]=broker2 [kafka.3]=broker3)
declare -A port_of=([postgres]=5432 [mysql]=3306 [kafka.1]=9092 [kafka.2]=9094 [kafka.3]=9095)

servers_up() {
  local server folder
  mkdir -p "$LIST_SYNC_SERVICES"
  for server in "${!host_of[@]}"; do
    folder=$LIST_SYNC_SERVICES/$server
    mkdir -p "$folder"
    echo "${host_of[$server]}" >"$folder/host"
    namespace "${host_of[$server]}" >"$folder/netns"
    echo "${port_of[$server]}" >"$folder/port"
    [[ $server != kafka.* ]] || { echo 9192 >"$folder/sasl-port" && echo 9093 >"$folder/controller-port"; }
  done
  scripts/services up "${services[@]}" 9>&-
}

servers_down() { [[ ! -d $LIST_SYNC_SERVICES ]] || scripts/services down --wipe; }

servers_status() { [[ ! -d $LIST_SYNC_SERVICES ]] || scripts/services status "${services[@]}"; }
