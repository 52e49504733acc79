"""Running a circuit's stages: the run folder and its record, launching here, and the HPC side."""
