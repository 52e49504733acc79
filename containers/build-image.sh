#!/bin/sh
# Builds the image with Docker or Podman, under its name only when it is whole; writes its SBOM to build/.
#
#   build-image.sh docker|podman [NAME] [BUILD_OPTION...]
#
# NAME: cerebellar-models:latest. Everything after it goes to the engine's build command, as in
# `--build-arg NEST_MODELS=full`. A wheel of NEST that is in the cache of build-nest.sh is used, and one
# that had to be built is put there.
set -eu

engine=${1:?"docker or podman"}
name=${2:-cerebellar-models:latest}
[ $# -lt 2 ] || shift
shift
cd "$(dirname "$0")/.."
store=${XDG_CACHE_HOME:-$HOME/.cache}/cerebellar-models/nest-mpi
partial=cerebellar-models-partial:$$
sbom=build/.image.sbom.$$

command -v "$engine" >/dev/null || { echo "build-image.sh: no $engine here" >&2; exit 1; }
clean() {
  "$engine" rmi --force "$partial" "$partial-nest" >/dev/null 2>&1 || true
  rm -f "$sbom"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# The Dockerfile needs nothing of BuildKit; a client without it is told not to ask for it.
if [ "$engine" = docker ] && ! docker buildx version >/dev/null 2>&1; then
  export DOCKER_BUILDKIT="${DOCKER_BUILDKIT:-0}"
fi

containers/offer-nest.sh
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
build() {
  "$engine" build --file containers/Dockerfile --build-arg VERSION="$version" --build-arg REVISION="$revision" "$@" .
}

# It keeps its name until the end: without one, the second build would find none of its steps done.
build "$@" --target nest --tag "$partial-nest"
wheel=$("$engine" run --rm --network none --entrypoint tail "$partial-nest" -n 1 /nest/path)
key=$(basename "$(dirname "$wheel")")
if [ ! -d "$store/$key" ]; then
  mkdir -p "$store"
  ready=$(mktemp -d "$store/.partial.XXXXXX")
  container=$("$engine" create "$partial-nest")
  "$engine" cp "$container:/nest/$key/." "$ready"
  "$engine" rm "$container" >/dev/null
  chmod 755 "$ready"
  mv -T "$ready" "$store/$key" 2>/dev/null || rm -rf "$ready"
fi

build "$@" --tag "$partial"
# Of two builds at once, the SBOM and the tag are those of the one that ends last.
"$engine" run --rm --network none --entrypoint cat "$partial" /opt/cerebellar-models/sbom.cdx.json >"$sbom"
mv "$sbom" build/image.sbom.cdx.json
"$engine" tag "$partial" "$name"
echo "image: $name"
