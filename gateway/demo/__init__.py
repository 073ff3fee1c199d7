"""A whole rehearsal stage on loopback: doubles of the outside, the gateway, and legacy traffic of every kind."""
