"""People at the admin port: who they are, what they may do, and how long that holds."""
