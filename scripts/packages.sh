# What the build and the tests need of a bare Debian besides Rust, a JDK and Maven. scripts/services installs its own.
# shellcheck shell=bash

declare -A package_of=(
  [cc]=build-essential            # librdkafka and ring are C
  [make]=build-essential
  [/usr/include/openssl/ssl.h]=libssl-dev   # TLS and SCRAM in librdkafka
  [/usr/include/zlib.h]=zlib1g-dev          # gzip in librdkafka
  [pkg-config]=pkg-config                   # finds both
  [kcat]=kcat                               # tests write malformed messages with it
)


install_packages() {
  local thing missing=()
  for thing in "${!package_of[@]}"; do
    [[ $thing == /* ]] && { [[ -e $thing ]] || missing+=("${package_of[$thing]}"); continue; }
    command -v "$thing" >/dev/null || missing+=("${package_of[$thing]}")
  done
  (( ${#missing[@]} )) || return 0
  (( EUID == 0 )) || die "as root: apt-get install ${missing[*]}"
  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install "${missing[@]}" >/dev/null ||
    die "apt-get could not install ${missing[*]}"
}
