"""From a plan to its end: what each stage asks a site for, its scripts, submitting and following them."""
