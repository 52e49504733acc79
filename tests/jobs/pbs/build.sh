#!/bin/bash
# Builds OpenPBS from a source archive into /opt/pbs, whose path it holds; about two and a half minutes on two cores.
#
#   build.sh openpbs-*.tar.gz [KEPT.tar.gz]     root; Debian: the packages below, of which .ci/run has the list
#
# KEPT is the built folder as an archive: unpacked where it is there, written where it is not.
set -euo pipefail
archive=${1:+$(realpath -m -- "$1")} kept=${2:-} prefix=/opt/pbs
built() { [ -x "$prefix/sbin/pbs_server.bin" ]; }
setuid() { chmod 4755 "$prefix/sbin/pbs_iff" "$prefix/sbin/pbs_rcp"; }
keep() {
  [ -n "$kept" ] && [ ! -e "$kept" ] || return 0
  mkdir -p "$(dirname "$kept")"
  tar -czf "$kept.$$" -C / "${prefix#/}"
  mv "$kept.$$" "$kept"
}

if ! built && [ -n "$kept" ] && [ -e "$kept" ]; then
  tar -xzf "$kept" -C /
  setuid
fi
if built; then
  keep
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xzf "$archive" -C "$work" --strip-components=1
cd "$work"
{
  # The archive's makefiles are made here; of Python, the system's, which the server links.
  ./autogen.sh &&
    PYTHON=/usr/bin/python3 ./configure --prefix="$prefix" &&
    make -j "$(nproc)" CFLAGS="-O1 -w -fcommon" &&
    make install
} >"$work/log" 2>&1 || {
  tail -n 30 "$work/log" >&2
  echo "OpenPBS does not build; the end of its log is above" >&2
  exit 1
}
setuid
keep
