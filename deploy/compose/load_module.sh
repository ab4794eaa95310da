#!/usr/bin/env bash
# Loads the kernel's network emulation, which add_latency_broker.sh needs. As root: sudo ./load_module.sh
set -euo pipefail

(( EUID == 0 )) || { echo 'load_module: not root; run: sudo ./load_module.sh' >&2; exit 1; }
if ! modprobe sch_netem; then
  echo "load_module: kernel $(uname -r) has no sch_netem; install linux-modules-extra-$(uname -r) (Ubuntu) or kernel-modules-extra (Fedora)" >&2
  exit 1
fi
echo 'sch_netem is loaded'
