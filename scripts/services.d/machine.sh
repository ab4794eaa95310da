# What the servers need of this machine: a user to run as, folders, and programs. Knows no server by name.
# shellcheck shell=bash

# Packages of the machine itself, by the program or path that shows they are there. The database servers are not among
# them: they are unpacked into a folder (see `unpack`), so that no system service is installed or started.
declare -A package_of=(
  [java]=default-jre-headless    # runs Kafka
  [kcat]=kcat                    # tells whether the brokers are ready; tests read topics with it
  [mvn]=maven                    # fetches Kafka's jars
  [go]=golang-go                 # builds toxiproxy
  [openssl]=openssl              # makes the certificates for TLS
  [/usr/share/zoneinfo]=tzdata   # PostgreSQL reads the machine's time zones
)

# Programs are large and do not change: one folder for all checkouts.
programs=${LIST_SYNC_PROGRAMS:-/var/tmp/list_sync-programs}
# What the data folder's path may look like: a Unix socket in it has at most 107 bytes, and some programs split at spaces.
folder_fit='^[a-zA-Z0-9/._-]{1,70}$'

die() {
  printf 'services: %s\n' "$*" >&2
  exit 1
}

# Holds FILE's lock until the calling subshell ends.
lock() {
  local descriptor
  exec {descriptor}>"$1"
  flock "$descriptor"
}

# Database servers refuse to run as root: for root a user of their own is made, otherwise they run as the caller.
# `as` runs a program as that user, without the caller's PGPORT, MYSQL_HOST, JAVA_TOOL_OPTIONS, folder or ignored signals.
find_user() {
  user=$(id -un)
  as=(/usr/bin/env --default-signal -C / -i "PATH=$PATH" HOME=/nonexistent LC_ALL=C.UTF-8)
  (( EUID == 0 )) || return 0
  user=list_sync
  id "$user" >/dev/null 2>&1 ||
    useradd --system --user-group --no-create-home --shell /usr/sbin/nologin "$user" 2>/dev/null ||
    id "$user" >/dev/null || die "cannot make the system user \"$user\"; make it with useradd and try again"
  as+=(setpriv "--reuid=$user" "--regid=$user" --init-groups)
}

# Data lies in target/services, or in the folder that LIST_SYNC_SERVICES names (scripts/lab has servers of its own). Where the servers'
# user cannot enter the checkout, or its path does not fit, that place is a link to a folder under /var/tmp.
find_folders() {
  local near=${LIST_SYNC_SERVICES:-$root/target/services} far
  mkdir -p "$programs" || die 'set LIST_SYNC_PROGRAMS to a folder that you can make'
  programs=$(cd "$programs" && pwd -P)
  "${as[@]}" test -x "$programs" || die "user $user cannot enter $programs; set LIST_SYNC_PROGRAMS to a folder it can enter"
  data=$near
  [[ -L $near ]] || mkdir -p "$near"
  if [[ -L $near || ! $near =~ $folder_fit ]] || ! "${as[@]}" test -x "$near"; then
    far=/var/tmp/list_sync-services-$(cksum <<<"${LIST_SYNC_SERVICES:-$root}" | cut -d' ' -f1)
    [[ -L $near ]] || rmdir "$near" 2>/dev/null ||
      die "$near is not empty, and user $user cannot enter it or its path does not fit $folder_fit; move it away"
    mkdir -p "$far"
    ln -sfn "$far" "$near"
    data=$far
  fi
}

# Installs the packages of those PROGRAMs that are missing.
need() {
  local program missing=()
  for program in "$@"; do
    [[ -e $program ]] || command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
  done
  (( ${#missing[@]} )) || return 0
  (( EUID == 0 )) || die "$service needs more programs; run: sudo apt-get install ${missing[*]}"
  (
    lock "$programs/apt.lock"
    apt-get -qq update || true # another source that fails is no reason to stop
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}"
  ) </dev/null >>"$data/$service.log" 2>&1 || { show_log "$service" "needs ${missing[*]}; apt-get failed" && exit 1; }
}

# Fills $programs/NAME by COMMAND, once for all checkouts. COMMAND runs in a folder that is renamed when whole.
once() (
  folder=$programs/$1
  shift
  [[ ! -d $folder ]] || exit 0
  [[ -w $programs ]] || die "$programs lacks ${folder##*/} and is not yours; set LIST_SYNC_PROGRAMS to a folder of your own"
  lock "$folder.lock"
  [[ ! -d $folder ]] || exit 0
  printf '%s: fetching programs into %s\n' "$service" "$folder" >&2
  trap '(( $? == 0 )) || show_log "$service" "cannot fetch its programs; is the network there?"' EXIT
  rm -rf "$folder.part"
  mkdir "$folder.part"
  cd "$folder.part" || exit
  "$@" </dev/null >>"$data/$service.log" 2>&1
  mv "$folder.part" "$folder"
)

# Fetches PACKAGEs of a Debian SUITE with all they depend on, libc included, into the working folder (for `once`). They run
# beside the machine's own packages because each program becomes a wrapper that starts it by its suite's own loader.
unpack() {
  local suite=$1 mirror archive loader program magic
  shift
  mirror=$(awk '/^URIs:/ {print $2; exit} /^deb / {for (i = 2; i <= NF; i++) if ($i ~ "://") {print $i; exit}}' \
    /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null || true)
  [[ -n $mirror ]] || die 'no Debian mirror found in /etc/apt/sources.list.d/debian.sources or /etc/apt/sources.list'

  mkdir -p apt/lists/partial apt/archives/partial
  : >apt/status # as if nothing were installed, so that every dependency is fetched
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >apt/sources.list
  cat - <(apt-config dump | grep '^Acquire::') >apt/apt.conf <<CONF
Dir::State "$PWD/apt"; Dir::State::status "$PWD/apt/status"; Dir::State::lists "$PWD/apt/lists";
Dir::Cache "$PWD/apt"; Dir::Cache::archives "$PWD/apt/archives";
Dir::Etc::sourcelist "$PWD/apt/sources.list";
Dir::Etc::main "/dev/null"; Dir::Etc::parts "/dev/null"; Dir::Etc::sourceparts "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User ""; APT::Install-Recommends "false";
CONF
  export APT_CONFIG=$PWD/apt/apt.conf
  apt-get -q update
  apt-get -q -y install --download-only "$@"

  mkdir -p usr/{bin,sbin,lib,lib64}
  ln -s usr/{bin,sbin,lib,lib64} .
  for archive in apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$archive" |
      tar -xf - --keep-directory-symlink --no-same-owner --exclude=./usr/share/{doc,man,locale}
  done
  rm -rf apt

  loader=$(echo usr/lib/*-linux-gnu/ld-linux-*.so.*)
  cat >wrapper <<WRAPPER
#!/bin/sh
program=\$(readlink -f "\$0")
root=\${program%/usr/*}
exec "\$root/$loader" --argv0 "\$program" --library-path "\$root/${loader%/*}:\$root/usr/lib/mysql/private" "\$program.real" "\$@"
WRAPPER
  chmod +x wrapper
  for program in usr/{bin,sbin}/{my,maria}* usr/lib/postgresql/*/bin/*; do
    [[ -f $program && ! -L $program ]] || continue
    read -rN4 magic <"$program" 2>/dev/null || continue
    [[ $magic == $'\x7fELF' ]] || continue
    mv "$program" "$program.real"
    ln wrapper "$program"
  done
}
