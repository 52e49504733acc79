#!/bin/sh
# How Open MPI and UCX talk in the images, in their own files, which the environment of a site or a job wins over.
# Variables of the image would win over those: Apptainer takes an image's environment before the host's.
set -eu

# BSB's file lock is an MPI window. Of Open MPI 4's ways to make one, the only one that neither reads another rank's
# memory (forbidden between containers, and in Docker) nor lacks threads is UCX, over whatever network it finds.
for folder in /etc/openmpi /opt/openmpi/etc; do
  [ -d "$folder" ] || continue
  file=$folder/openmpi-mca-params.conf
  [ ! -e "$file" ] || sed -i '/^osc *=/d' "$file"
  cat >>"$file" <<'F'
osc = ucx
pml_ucx_tls = any
pml_ucx_devices = any
btl_vader_single_copy_mechanism = none
F
done
mkdir -p /etc/ucx
cat >/etc/ucx/ucx.conf <<'F'
UCX_TLS=^cma
UCX_POSIX_USE_PROC_LINK=n
F
