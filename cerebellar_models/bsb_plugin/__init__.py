"""All that BSB loads of this package: commands, mends, storage scheme, templates, and what it registers."""
