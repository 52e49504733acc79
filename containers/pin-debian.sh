#!/bin/sh
# Has apt take Debian's packages as they were at a time, from Debian's archive of all of them.
#
#   pin-debian.sh TIME [FOLDER]
#
# TIME: such as 20261101T000000Z; nothing is changed if it is empty. FOLDER: /etc/apt.
set -eu

time=$1
folder=${2:-/etc/apt}
case $time in
  "") exit 0 ;;
  [0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z) ;;
  *) echo "pin-debian.sh: DEBIAN_SNAPSHOT: $time is no time such as 20261101T000000Z" >&2; exit 2 ;;
esac
site=http://snapshot.debian.org/archive # packages are signed; the base image has no certificates for https
rm -f "$folder"/sources.list "$folder"/sources.list.d/debian.sources
for suite in "debian/$time bookworm" "debian/$time bookworm-updates" "debian-security/$time bookworm-security"; do
  # What was current then has expired since.
  echo "deb [check-valid-until=no] $site/${suite% *} ${suite#* } main"
done >"$folder/sources.list"
