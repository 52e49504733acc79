#!/bin/sh
# Makes the Python environment of the images: the locked packages, NEST with MPI, NEURON with its mechanisms.
#
#   install-python.sh PYPROJECT NEST_WHEEL EXTRAS PREFIX
#
# Every file that comes from an index is checked against requirements.lock; what EXTRAS then ask for is installed
# from the checked files alone.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
pyproject=$1
nest=$2
extras=$3
prefix=$4
venv=$prefix/venv
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip wheel --quiet --no-deps --require-hashes --wheel-dir "$work/wheels" -r "$here/requirements.lock"
cp "$nest" "$work/wheels/"

python3 - "$pyproject" "$extras" >"$work/requirements.txt" <<'P'
import re, sys, tomllib

with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
wanted = list(project["dependencies"])
for extra in filter(None, sys.argv[2].split(",")):
    if extra not in project["optional-dependencies"]:
        sys.exit(f"install-python.sh: EXTRAS: no extra {extra!r} in {sys.argv[1]}")
    wanted += project["optional-dependencies"][extra]
print("\n".join(wanted))
P
# With NEURON come the mechanisms.
case ",$extras," in *,neuron,*) cat "$here/mechanisms.txt" >>"$work/requirements.txt" ;; esac

python3 -m venv --without-pip "$venv"
python3 -m pip --python "$venv/bin/python" install --quiet --no-compile --no-index --find-links "$work/wheels" \
  -r "$work/requirements.txt"

export PATH="$venv/bin:$PATH"
# As in environment.sh, a change of which need not compile the mechanisms again.
export XDG_CACHE_HOME="$prefix/cache" XDG_DATA_HOME="$prefix/share"
if command -v glia >/dev/null; then
  # Its first call makes its folders and compiles, and `glia compile` compiles again: let that be all there is. It
  # warns that there is no pip to make a package of the user's own mechanisms with, which an image cannot hold.
  GLIA_NOCOMPILE=1 python -c 'import glia; glia.compile()'
  glia compile
  # Glia looks for the library in a folder of this name on every machine.
  for folder in "$XDG_CACHE_HOME"/Glia/*/"$(uname -m)"; do
    [ "$(basename "$folder")" = x86_64 ] || ln -s "$(basename "$folder")" "$(dirname "$folder")/x86_64"
    find "$folder" -maxdepth 1 \( -name '*.o' -o -name '*.c' -o -name '*.cpp' \) -delete
  done
fi
