"""How two files are read as one."""
