#!/bin/sh
# Makes the wheel of NEST with MPI from NEST's source on PyPI, which PyPI's own wheel is built without.
# One wheel serves the images and the tests on this host: it is kept in a folder named after all it depends on.
#
#   build-nest.sh [--models circuits|full] [--python PYTHON] [--store FOLDER] [--key]
#
# Prints the path of the wheel as its last line (--key: only the name of its folder). About 16 minutes of CPU.
# Needs a C++ compiler, CMake and the headers of MPI, GSL, libltdl and Boost.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=containers/versions.env
. "$here/versions.env"

models=circuits
python=python3
store=${XDG_CACHE_HOME:-$HOME/.cache}/cerebellar-models/nest-mpi
only_key=no

fail() { echo "build-nest.sh: $1" >&2; exit "${2:-1}"; }

while [ $# -gt 0 ]; do
  case $1 in
    --models | --python | --store) [ $# -gt 1 ] || fail "$1 needs a value" 2 ;;
  esac
  case $1 in
    --models) models=$2; shift 2 ;;
    --python) python=$2; shift 2 ;;
    --store) store=$2; shift 2 ;;
    --key) only_key=yes; shift ;;
    *) fail "$1 is not an option; there are --models circuits|full, --python, --store, --key" 2 ;;
  esac
done

case $models in
  circuits) list=$(grep -v '^#' "$here/nest-models-circuits.txt" | sort | paste -sd ';') ;;
  full) list= ;;
  *) fail "--models $models is neither 'circuits' nor 'full'" 2 ;;
esac

missing=
command -v mpicxx >/dev/null || missing="$missing libopenmpi-dev"
command -v cmake >/dev/null || missing="$missing cmake"
command -v "${CXX:-g++}" >/dev/null || missing="$missing g++"
command -v make >/dev/null || missing="$missing make"
for header in gsl/gsl_version.h:libgsl-dev ltdl.h:libltdl-dev boost/version.hpp:libboost-dev; do
  if command -v "${CXX:-g++}" >/dev/null; then
    echo "#include <${header%%:*}>" | "${CXX:-g++}" -E -x c++ - >/dev/null 2>&1 || missing="$missing ${header##*:}"
  fi
done
[ -z "$missing" ] || fail "to build NEST with MPI: apt install$missing"

# What the wheel depends on: its source, the models, the Python, the distribution's libraries, MPI, this recipe.
mpi=$(mpirun --version 2>/dev/null | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')
[ -n "$mpi" ] || fail "mpirun --version names no version: apt install openmpi-bin"
tag=$("$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
# shellcheck source=/dev/null
system=$(. /etc/os-release && echo "$ID${VERSION_ID:-}")
recipe=$({
  cat "$here/build-nest.sh"
  echo "$list $NEST_SHA256 $SCIKIT_BUILD_CORE_VERSION $CYTHON_VERSION"
} | sha256sum | cut -c1-8)
key=nest$NEST_VERSION-$tag-$(uname -m)-$system-openmpi$mpi-$models-$recipe
[ "$only_key" = no ] || { echo "$key"; exit 0; }

found=$(ls "$store/$key"/*.whl 2>/dev/null || true)
[ -z "$found" ] || { echo "$found"; exit 0; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

"$python" -m venv "$work/venv"
pip="$work/venv/bin/python -m pip --disable-pip-version-check"
$pip install --quiet 'pip>=23.1' >&2 # that of Debian 12 has no -C for the wheel's settings
cat >"$work/constraints.txt" <<C
scikit-build-core==$SCIKIT_BUILD_CORE_VERSION
cython==$CYTHON_VERSION
C
# pip before and after 25.3 read the constraints of a build from one or the other.
export PIP_CONSTRAINT="$work/constraints.txt" PIP_BUILD_CONSTRAINT="$work/constraints.txt"
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"

$pip download --quiet --no-deps --no-binary nest-simulator --dest "$work" "nest-simulator==$NEST_VERSION" >&2
source=$(ls "$work"/nest_simulator-*.tar.gz)
echo "$NEST_SHA256  $source" | sha256sum --check --quiet >&2 || fail "$source is not the source of versions.env (NEST_SHA256)"

# Of this machine and this hour nothing gets into the wheel: two builds of one source are equal. The compiler names
# sources by their place in NEST, and what NEST takes for its prefix is none of pip's temporary folders.
mkdir "$work/source"
tar -xf "$source" -C "$work/source" --strip-components 1
sed -i 's|@Python_EXECUTABLE@|python3|' "$work/source/bin/nest-config.in"
# shellcheck disable=SC2016 # CMake's own variable
echo 'add_compile_options("-ffile-prefix-map=${CMAKE_SOURCE_DIR}=nest")' >"$work/names.cmake"

# By its long name: -C is newer than the pip of Debian 12.
option=--config-settings=cmake.define
set -- "$option.with-mpi=ON" "$option.with-optimize=-O3" "$option.CMAKE_INSTALL_PREFIX=/usr/local" \
  "$option.CMAKE_PROJECT_INCLUDE=$work/names.cmake"
[ -z "$list" ] || set -- "$@" "$option.with-models=$list"
echo "building NEST $NEST_VERSION with Open MPI $mpi ($models models) …" >&2
$pip wheel --verbose --no-deps --wheel-dir "$work/wheel" "$@" "$work/source" >"$work/log" 2>&1 \
  || { tail -n 40 "$work/log" >&2; fail "NEST does not build; the end of its log is above"; }

# Under its final name only when it is whole; of two builds at once the first one stays.
mkdir -p "$store"
ready=$(mktemp -d "$store/.partial.XXXXXX")
cp "$work"/wheel/nest_simulator-*.whl "$ready/"
cp "$work/log" "$ready/build.log"
chmod 755 "$ready"
mv -T "$ready" "$store/$key" 2>/dev/null || rm -rf "$ready"
ls "$store/$key"/*.whl
