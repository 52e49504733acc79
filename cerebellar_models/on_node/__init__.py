"""Programs that a job script starts on a node. Nothing imports them; they may import all but the command line."""
