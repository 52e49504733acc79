# shellcheck shell=sh
# Environment of the images, read by Apptainer at every start and by the scripts that build; the Dockerfile's ENV
# says the same (a test compares them). Apptainer has it win over the host's; what is a site's to choose is therefore
# in configure-mpi.sh instead.
CEREBELLAR_MODELS_PREFIX=${CEREBELLAR_MODELS_PREFIX:-/opt/cerebellar-models}
export CEREBELLAR_MODELS_IN_IMAGE=1
export PATH="$CEREBELLAR_MODELS_PREFIX/venv/bin:/opt/openmpi/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
# The built NEST module and NEURON mechanisms, found by any user and never written to.
export XDG_CACHE_HOME="$CEREBELLAR_MODELS_PREFIX/cache" XDG_DATA_HOME="$CEREBELLAR_MODELS_PREFIX/share"
# The compiler's name is part of the module's key.
export CXX=g++
# The host's TMPDIR need not be in the image (APPTAINERENV_TMPDIR names one that is).
export TMPDIR=/tmp
# These are written at run time, by whoever the user is. Others may write to /tmp, and what lies here is run.
CEREBELLAR_MODELS_TMP=$TMPDIR/cerebellar-models-$(id -u)
# shellcheck disable=SC3067  # -O: dash, bash and the shell of Apptainer have it
mkdir -m 700 "$CEREBELLAR_MODELS_TMP" 2>/dev/null || [ -O "$CEREBELLAR_MODELS_TMP" ] || CEREBELLAR_MODELS_TMP=$(mktemp -d)
export NUMBA_CACHE_DIR="$CEREBELLAR_MODELS_TMP/numba" MPLCONFIGDIR="$CEREBELLAR_MODELS_TMP/matplotlib"
# A host's Python packages and NEURON settings are not for this Python.
unset PYTHONPATH PYTHONHOME PYTHONUSERBASE NRNHOME NEURONHOME CEREBELLAR_MODELS_PREFIX CEREBELLAR_MODELS_TMP
export PYTHONNOUSERSITE=1
export PYNEST_QUIET=1
# Open MPI refuses root; root in a container is a user outside (rootless engines), or confined.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
