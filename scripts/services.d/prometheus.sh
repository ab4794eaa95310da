# Prometheus, with promtool: it scrapes what the files in LIST_SYNC_PROMETHEUS_TARGETS name, every second, and evaluates the alert rules of
# deploy/monitoring. Its Debian package is unpacked, not installed: installed, it would start a service of its own.
# shellcheck shell=bash

servers=(prometheus)

install() { once prometheus fetch_prometheus; }

fetch_prometheus() {
  apt-get -q update || true # another source that fails is no reason to stop
  apt-get -q -o APT::Sandbox::User=root download prometheus
  dpkg-deb -x prometheus_*.deb .
  rm prometheus_*.deb
  usr/bin/promtool --version
}

create() { mkdir "$1" && chown "$user" "$1"; }

configure() {
  mkdir -p "$folder/targets"
  cp "$root/deploy/monitoring/alerts.yml" "$folder/alerts.yml"
  cat >"$folder/prometheus.yml" <<YAML
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [ alerts.yml ]
scrape_configs:
  - job_name: list_sync
    file_sd_configs: [ { files: [ "targets/*.json" ], refresh_interval: 1s } ]
YAML
  command=("$programs/prometheus/usr/bin/prometheus" "--config.file=$folder/prometheus.yml" "--storage.tsdb.path=$folder/data"
    "--storage.tsdb.retention.time=1h" "--web.listen-address=127.0.0.1:$(port "$server")")
}

is_ready() { is_listening "$(port "$server")"; }

environment() {
  show LIST_SYNC_PROMETHEUS "127.0.0.1:$(port prometheus)"
  show LIST_SYNC_PROMETHEUS_TARGETS "$data/prometheus/targets"
  show LIST_SYNC_PROMTOOL "$programs/prometheus/usr/bin/promtool"
}
