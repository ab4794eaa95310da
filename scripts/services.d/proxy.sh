# toxiproxy: cuts, delays and throttles connections for fault tests. Its proxies are made through its HTTP interface.
# shellcheck shell=bash

servers=(proxy)
proxy_version=2.5.0

install() {
  [[ -d $programs/proxy-$proxy_version ]] || need go
  once "proxy-$proxy_version" build
}

build() { GOBIN=$PWD go install "github.com/Shopify/toxiproxy/v2/cmd/server@v$proxy_version"; }

create() { mkdir "$1"; } # it keeps nothing

configure() { command=("$programs/proxy-$proxy_version/server" -host 127.0.0.1 -port "$(port "$server")"); }

is_ready() { is_listening "$(port "$server")"; }

environment() { show LIST_SYNC_PROXY "127.0.0.1:$(port proxy)"; }
