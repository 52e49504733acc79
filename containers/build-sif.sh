#!/bin/sh
# Makes the Apptainer image, under its name only when it is whole.
#
#   build-sif.sh [--from docker|def] [--image NAME] OUT [BUILD_OPTION...]
#
# --from docker: of the Docker image NAME (cerebellar-models:latest); --from def: of cerebellar-models.def alone, as
# root, with the mapping of a user (--fakeroot) or unprivileged. Left out: of the Docker image if there is one.
# What follows OUT goes to `apptainer build`, as in `--build-arg NEST_MODELS=full`. APPTAINER names the command.
set -eu

from=
image=cerebellar-models:latest
while [ $# -gt 1 ]; do
  case $1 in
    --from) from=$2 ;;
    --image) image=$2 ;;
    *) break ;;
  esac
  shift 2
done
out=${1:?"the file to make"}
shift
case $from in
  "" | docker | def) ;;
  *) echo "build-sif.sh: --from $from is neither 'docker' nor 'def'" >&2; exit 2 ;;
esac
case $out in
  /*) ;;
  *) out=$PWD/$out ;;
esac
cd "$(dirname "$0")/.."
apptainer=$(command -v "${APPTAINER:-apptainer}" || command -v singularity || true)
[ -n "$apptainer" ] || { echo "build-sif.sh: no apptainer here: apt install apptainer, or ask the site" >&2; exit 1; }

if [ -z "$from" ]; then
  if docker image inspect "$image" >/dev/null 2>&1; then from=docker; else from=def; fi
fi
mkdir -p "$(dirname "$out")" build/nest-mpi
work=$(mktemp -d "$(dirname "$out")/.partial.XXXXXX")
clean() { chmod -R u+rwX "$work" && rm -rf "$work"; }
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ "$from" = docker ]; then
  # A daemon that listens elsewhere is found through DOCKER_HOST.
  printf 'Bootstrap: docker-daemon\nFrom: %s\n' "$image" >"$work/image.def"
  definition=$work/image.def
else
  containers/offer-nest.sh
  definition=containers/cerebellar-models.def
  [ "$(id -u)" = 0 ] || set -- --fakeroot "$@"
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
  revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
  set -- --build-arg VERSION="$version" --build-arg REVISION="$revision" "$@"
fi
"$apptainer" build "$@" "$work/image.sif" "$definition"
"$apptainer" exec "$work/image.sif" cat /opt/cerebellar-models/sbom.cdx.json >"$work/sbom.json" \
  || { echo "build-sif.sh: the image was built but cannot be run here" >&2; exit 1; }
mv "$work/sbom.json" "$out.sbom.cdx.json"
mv "$work/image.sif" "$out"
echo "image: $out"
