"""A run on disk: its plan, tasks, record, products, leases; and the launching of its work here."""
