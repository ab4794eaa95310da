# What the build and the tests need of a bare Debian besides Rust, a JDK and Maven. scripts/services installs its own.
# shellcheck shell=bash

declare -A package_of=(
  [cc]=build-essential            # librdkafka and ring are C
  [c++]=build-essential           # libFuzzer is C++
  [make]=build-essential
  [/usr/include/openssl/ssl.h]=libssl-dev   # TLS and SCRAM in librdkafka
  [/usr/include/zlib.h]=zlib1g-dev          # gzip in librdkafka
  [pkg-config]=pkg-config                   # finds both
  [protoc]=protobuf-compiler                # a test reads our messages with it
  [/usr/share/doc/python3-venv]=python3-venv # the Python package's build and tests
  [kcat]=kcat                               # tests write malformed messages with it
  [shellcheck]=shellcheck                   # reads the scripts
  [pip3]=python3-pip                        # fetches hadolint, which reads the Dockerfile
  [systemd-analyze]=systemd                 # reads the units
  [python3]=python3                         # rehearses the deployment, makes the release's notices
  [git]=git                                 # tells which files there are
  [go]=golang-go                            # builds the reader of compose files
)

# What scripts/lab needs besides.
declare -A package_of_lab=(
  [ip]=iproute2          # hosts and cables
  [ping]=iputils-ping    # measures the delay
  [iperf3]=iperf3        # measures the rate
)

# Installs what is missing of a list (default: package_of).
install_packages() {
  local -n list=${1:-package_of}
  local thing missing=()
  for thing in "${!list[@]}"; do
    [[ $thing == /* ]] && { [[ -e $thing ]] || missing+=("${list[$thing]}"); continue; }
    command -v "$thing" >/dev/null || missing+=("${list[$thing]}")
  done
  (( ${#missing[@]} )) || return 0
  (( EUID == 0 )) || die "as root: apt-get install ${missing[*]}"
  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install "${missing[@]}" >/dev/null ||
    die "apt-get could not install ${missing[*]}"
}
