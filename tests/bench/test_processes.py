"""What the benchmark starts its processes with."""

from bench.processes import free_ports


def test_a_server_gets_a_port_that_no_connection_gets() -> None:
    """Linux gives connections those from 32768 on, and a part of the benchmark has 15,000 of them."""
    found = free_ports(50)
    assert len(set(found)) == 50
    assert max(found) < 32_768
