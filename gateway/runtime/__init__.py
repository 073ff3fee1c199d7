"""A gateway process: what is built from a configuration, how it starts, reloads and stops.

Others use:

- `node.Node`: the process;
- `sockets.inherited`: what whoever started it has opened for it.
"""
