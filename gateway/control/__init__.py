"""The admin port: health and metrics; nothing else until people can log in."""
