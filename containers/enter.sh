#!/bin/sh
# What `docker run IMAGE WORDS` and `apptainer run` start: the command line of this package with these words, or the
# program of the image that the first of them names.
set -eu

case ${1:---help} in
  -*) ;; # asks something of the command line, which writes nothing
  *)
    # MPI, Numba and Matplotlib write there, and would each fail in their own words.
    if ! [ -d "${TMPDIR:-/tmp}" ] || ! [ -w "${TMPDIR:-/tmp}" ]; then
      echo "cerebellar-models: ${TMPDIR:-/tmp} cannot be written to in this container: start it with --tmpfs ${TMPDIR:-/tmp}" >&2
      exit 2
    fi
    ;;
esac
case ${1:-} in
  python | python3 | mpirun | mpiexec | bsb | bash | sh | cerebellar-models | cerebellar-models-image-test) exec "$@" ;;
  *) exec cerebellar-models "$@" ;;
esac
