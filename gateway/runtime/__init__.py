"""A gateway process: what is built from a configuration, how it starts, reloads and stops.

Others use:

- `node.Node`, `node.UNUSABLE`: the process, and why a configuration cannot be used here and now;
- `sockets.inherited`: what whoever started it has opened for it;
- `config_file.recall`: the last file that was taken.
"""
