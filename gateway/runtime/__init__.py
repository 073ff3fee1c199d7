"""A gateway process: what is built from a configuration, how it starts, reloads and stops."""
