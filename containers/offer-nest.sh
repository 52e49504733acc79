#!/bin/sh
# Puts the wheels of NEST that build-nest.sh keeps where a build of an image takes them from: build/nest-mpi.
# Each gets its name there only when it is whole, whatever kills this and however many run at once.
set -eu

cd "$(dirname "$0")/.."
mkdir -p build/nest-mpi
for folder in "${XDG_CACHE_HOME:-$HOME/.cache}"/cerebellar-models/nest-mpi/nest*; do
  target=build/nest-mpi/${folder##*/}
  if [ -d "$folder" ] && [ ! -e "$target" ]; then
    work=$(mktemp -d build/.nest-mpi.XXXXXX)
    cp -R "$folder/." "$work"
    chmod 755 "$work"
    mv -T "$work" "$target" 2>/dev/null || rm -rf "$work"
  fi
done
