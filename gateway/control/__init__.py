"""The admin port: health and metrics, and pages and an API for people once they can log in."""
