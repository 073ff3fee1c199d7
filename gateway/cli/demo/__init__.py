"""A gateway between doubles, with realistic legacy traffic."""
