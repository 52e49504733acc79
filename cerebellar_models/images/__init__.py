"""Docker, Podman and Apptainer behind one verb."""
