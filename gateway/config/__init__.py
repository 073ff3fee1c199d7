"""From routes.yaml to checked definitions; every problem carries its file, line and column."""
