"""`python -m gateway` is `vkp-gateway`."""

from gateway.cli import main

main()
