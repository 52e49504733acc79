#!/bin/sh
# Everything for an installation without internet, in one folder: the locked packages, NEST with MPI, this package.
#
#   wheelhouse.sh [FOLDER]
#
# FOLDER: build/wheelhouse. For machines with this one's kind of processor, Python and Open MPI.
set -eu

out=${1:-build/wheelhouse}
case $out in
  /*) ;;
  *) out=$PWD/$out ;;
esac
python=${PYTHON:-python3}
cd "$(dirname "$0")/.."
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

if [ -e "$out" ] && [ ! -e "$out/SHA256SUMS" ]; then
  echo "wheelhouse.sh: $out is there and no wheelhouse; name another folder" >&2
  exit 2
fi
mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$(dirname "$out")/.wheelhouse.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

nest=$(containers/build-nest.sh --python "$python" | tail -n 1)
[ -n "$nest" ] || exit 1 # it has said why
"$python" -m venv "$work/venv"
pip="$work/venv/bin/python -m pip"
$pip install --quiet --require-hashes -r containers/build-requirements.lock
mkdir "$work/wheels"
$pip wheel --quiet --no-deps --require-hashes --wheel-dir "$work/wheels" -r containers/requirements.lock
cp "$nest" "$work/wheels/"
$pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work/wheels" .

cd "$work/wheels"
cat >README.txt <<'T'
In this folder, on the machine without internet (Linux with this Python, Open MPI 4, g++, and Open MPI's headers):

  sha256sum --check --quiet SHA256SUMS
  python3 -m venv ~/cerebellar-models
  ~/cerebellar-models/bin/pip install --no-index --find-links . 'cerebellar-models[nest,neuron,parallel,report,deploy]' \
    dbbs-catalogue 'nmodl-glia>=8'
  ~/cerebellar-models/bin/cerebellar-models models build
T
sha256sum ./*.whl README.txt >SHA256SUMS
chmod 755 .
rm -rf "$out"
mv -T "$work/wheels" "$out"
echo "wheelhouse: $out"
