"""The VKP migration gateway: a reverse proxy between unchanged legacy senders, VKP and the services that replace it."""
