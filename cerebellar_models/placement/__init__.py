"""BSB hooks that act on placed cells."""
