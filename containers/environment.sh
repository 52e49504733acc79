# shellcheck shell=sh
# Environment of the images, read by Apptainer at every start and by the scripts that build; the Dockerfile's ENV
# says the same (a test compares them). It wins over what Apptainer brings in from the host.
CEREBELLAR_MODELS_PREFIX=${CEREBELLAR_MODELS_PREFIX:-/opt/cerebellar-models}
export CEREBELLAR_MODELS_IMAGE=1
export PATH="$CEREBELLAR_MODELS_PREFIX/venv/bin:/opt/openmpi/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
# The built NEST module and NEURON mechanisms, found by any user and never written to.
export XDG_CACHE_HOME="$CEREBELLAR_MODELS_PREFIX/cache" XDG_DATA_HOME="$CEREBELLAR_MODELS_PREFIX/share"
# The compiler's name is part of the module's key.
export CXX=g++
# These are written at run time, by whoever the user is.
CEREBELLAR_MODELS_TMP=${TMPDIR:-/tmp}/cerebellar-models-$(id -u)
export NUMBA_CACHE_DIR="$CEREBELLAR_MODELS_TMP/numba" MPLCONFIGDIR="$CEREBELLAR_MODELS_TMP/matplotlib"
# A host's Python packages and NEURON settings are not for this Python.
unset PYTHONPATH PYTHONHOME PYTHONUSERBASE NRNHOME NEURONHOME CEREBELLAR_MODELS_PREFIX CEREBELLAR_MODELS_TMP
export PYTHONNOUSERSITE=1
export PYNEST_QUIET=1
# BSB's file lock is an MPI window. Of Open MPI 4's ways to make one, the only one that neither reads another rank's
# memory (forbidden between containers, and in Docker) nor lacks threads is UCX, over whatever network it finds.
# A site that knows better sets these itself.
export OMPI_MCA_osc="${OMPI_MCA_osc:-ucx}"
export OMPI_MCA_pml_ucx_tls="${OMPI_MCA_pml_ucx_tls:-any}" OMPI_MCA_pml_ucx_devices="${OMPI_MCA_pml_ucx_devices:-any}"
export UCX_TLS="${UCX_TLS:-^cma}" UCX_POSIX_USE_PROC_LINK="${UCX_POSIX_USE_PROC_LINK:-n}"
export OMPI_MCA_btl_vader_single_copy_mechanism="${OMPI_MCA_btl_vader_single_copy_mechanism:-none}"
# Open MPI refuses root; root in a container is a user outside (rootless engines), or confined.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
