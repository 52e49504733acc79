"""What a stage takes: the cost model of a species, and estimates from it. Pure but for the one reader of models."""
