"""What a machine is: its queues, nodes, launchers, with the evidence for each fact."""
