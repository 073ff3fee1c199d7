"""What lies over the routes of the file: what may be set there, and what keeps it current in a process."""
