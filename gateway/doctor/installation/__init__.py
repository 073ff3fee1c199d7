"""What this installation needs from its machine, its files, HelseID and its upstreams."""
