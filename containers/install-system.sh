#!/bin/sh
# Installs what the images need of the distribution, and Open MPI.
#
#   install-system.sh build|runtime [OPENMPI]
#
# OPENMPI: 'distribution' (default), or the path or URL of a source archive of Open MPI, which is built into
# /opt/openmpi by 'build'; 'runtime' expects that folder to have been copied over. DEBIAN_SNAPSHOT: the packages as they
# were at a time (see pin-debian.sh, which lies beside this).
set -eu

stage=$1
openmpi=${2:-distribution}
export DEBIAN_FRONTEND=noninteractive

runtime="python3 libpython3.11 libgsl27 libltdl7 libgomp1 openssh-client tini"
build="python3-dev python3-pip python3-venv build-essential cmake libgsl-dev libltdl-dev libboost-dev"
if [ "$openmpi" = distribution ]; then
  runtime="$runtime openmpi-bin"
  build="$build openmpi-bin libopenmpi-dev"
else
  runtime="$runtime libevent-core-2.1-7 libevent-pthreads-2.1-7 libhwloc15 libpmix2 libucx0 libfabric1 zlib1g"
  build="$build curl libevent-dev libhwloc-dev libpmix-dev libucx-dev libfabric-dev zlib1g-dev"
fi

case $stage in
  build) packages="$runtime $build" ;;
  runtime) packages=$runtime ;;
  *) echo "install-system.sh: $stage is neither 'build' nor 'runtime'" >&2; exit 2 ;;
esac

"$(dirname "$0")/pin-debian.sh" "${DEBIAN_SNAPSHOT:-}"
apt-get -qq update
# shellcheck disable=SC2086 # a list of names
apt-get -qq install -y --no-install-recommends $packages
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log /var/log/alternatives.log

[ "$openmpi" != distribution ] || exit 0
echo /opt/openmpi/lib >/etc/ld.so.conf.d/openmpi.conf
if [ "$stage" = build ]; then
  work=$(mktemp -d)
  case $openmpi in
    *://*) curl --fail --silent --show-error --location --output "$work/openmpi.tar" "$openmpi" ;;
    *) cp "$openmpi" "$work/openmpi.tar" ;;
  esac
  if [ -n "${OPENMPI_SHA256:-}" ]; then
    echo "$OPENMPI_SHA256  $work/openmpi.tar" | sha256sum --check --quiet
  fi
  mkdir "$work/source"
  tar -xf "$work/openmpi.tar" -C "$work/source" --strip-components 1
  cd "$work/source"
  if ! {
    ./configure --quiet --prefix=/opt/openmpi --with-pmix=external --with-libevent=external --with-hwloc=external \
      --with-ucx --with-ofi --disable-mpi-fortran --disable-static \
      && make -j"$(nproc)" && make install
  } >"$work/log" 2>&1; then
    tail -n 40 "$work/log" >&2
    exit 1
  fi
  rm -rf "$work" /opt/openmpi/share/man /opt/openmpi/share/doc
fi
ldconfig
