"""What commands share, and no command: flags, files that are read and written, the form, tables."""
