#!/bin/sh
# Puts this package into the environment that install-python.sh made, builds the NEST module, leaves out what
# nothing needs at run time, and writes licences and the SBOM.
#
#   install-package.sh SOURCE PREFIX
set -eu

source=$1
prefix=$2
here=$(cd "$(dirname "$0")" && pwd)
venv=$prefix/venv
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --require-hashes -r "$here/build-requirements.lock"
"$work/venv/bin/pip" wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work" "$source"
python3 -m pip --python "$venv/bin/python" install --quiet --no-compile --no-index --no-deps "$work"/cerebellar_models-*.whl

export PATH="$venv/bin:$PATH"
# shellcheck source=containers/environment.sh
CEREBELLAR_MODELS_PREFIX=$prefix . "$here/environment.sh"
if python -c 'import nest' >/dev/null 2>&1; then
  cerebellar-models models build
fi

mkdir -p "$prefix/containers"
cp -R "$here/." "$prefix/containers/"
# `bsb` and the other commands are found without the environment being activated, too.
for command in bsb cerebellar-models; do
  ln -sf "$venv/bin/$command" "/usr/local/bin/$command"
done
cat >/usr/local/bin/cerebellar-models-image-test <<T
#!/bin/sh
exec "$venv/bin/python" "$prefix/containers/image_test.py" "\$@"
T
chmod 755 /usr/local/bin/cerebellar-models-image-test

packages=$(echo "$venv"/lib/python3*/site-packages)
# Test suites, static libraries, headers that only a compiler wants, and Python's bytecode, which is made below for
# what stays. The wheels' libraries are not stripped: that breaks those whose layout their makers have changed.
find "$packages" -depth -type d \( -name tests -o -name test -o -name __pycache__ \) \
  -not -path '*/numpy/*' -not -path '*/numba/*' -exec rm -rf {} +
find "$prefix" -name '*.a' -delete
rm -rf "$packages/boost_headers/include"
# What only builds or documents: Cython and setuptools serve those who have a compiler. NEST's headers stay: whether the
# module is that of this NEST is told by them, too.
rm -rf "$venv"/doc "$venv"/share/man "$packages"/doc "$packages"/docs \
  "$packages"/nest/doc \
  "$packages"/[Cc]ython "$packages"/[Cc]ython-*.dist-info "$packages"/pyximport "$packages"/cython.py \
  "$packages"/setuptools "$packages"/setuptools-*.dist-info "$packages"/pkg_resources "$packages"/_distutils_hack \
  "$packages"/distutils-precedence.pth "$venv"/bin/cython "$venv"/bin/cythonize "$venv"/bin/cygdb
python -m compileall -q -j 0 "$packages" >/dev/null 2>&1 || true

licenses=$prefix/licenses
mkdir -p "$licenses"
for info in "$packages"/*.dist-info; do
  target=$licenses/$(basename "$info" .dist-info)
  find "$info" -type f \( -iname '*licen[sc]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'authors*' -o -path '*/licenses/*' \) \
    -exec mkdir -p "$target" \; -exec cp {} "$target/" \;
done
# The distribution's packages keep theirs where Debian has them.
ln -sfn /usr/share/doc "$licenses/debian"
chmod -R a+rX "$prefix"
