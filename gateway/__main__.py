"""`python -m gateway` is `vkp-gateway`."""

from gateway.cli.main import main

main()
