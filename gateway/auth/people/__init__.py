"""How people and programs log in to the admin port, and what they may do."""
