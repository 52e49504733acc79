"""An existing configuration, or a folder of them, made one that this version reads."""
