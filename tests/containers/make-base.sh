#!/bin/bash
# make-base.sh OUT.tar [SUITE]: the root file system of a Debian base image, made from the host's own package
# archive, which trusts what the host trusts. The definitions of the images then build here unchanged.
set -euo pipefail
shopt -s nullglob
out=$1
suite=${2:-bookworm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

hooks=()
for certificate in /usr/local/share/ca-certificates/*.crt; do
  hooks+=(--customize-hook="copy-in $certificate /usr/local/share/ca-certificates")
done
[ ! -e /etc/pip.conf ] || hooks+=(--customize-hook="copy-in /etc/pip.conf /etc")
# How this host reaches the archive, not what it installs from it.
apt-config dump Acquire::http::Proxy Acquire::https::Proxy Acquire::Check-Valid-Until Acquire::Check-Date \
  | { grep -v '""' || true; } >"$work/acquire"
hooks+=(--customize-hook="upload $work/acquire /etc/apt/apt.conf.d/90host-acquire")
# shellcheck disable=SC2016 # mmdebstrap's own parameter
hooks+=(--customize-hook='chroot "$1" update-ca-certificates')
mmdebstrap --quiet --variant=minbase --include=ca-certificates --aptopt='Acquire::Check-Valid-Until "false"' \
  "${hooks[@]}" "$suite" "$work/base.tar" /etc/apt/sources.list.d/debian.sources
mv "$work/base.tar" "$out"
