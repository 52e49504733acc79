"""Any BSB configuration -> cells, contacts, connections, in closed form. Reads the morphologies, and nothing else."""
