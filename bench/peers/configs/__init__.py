"""Configuration files of the proxies that are not Python."""
