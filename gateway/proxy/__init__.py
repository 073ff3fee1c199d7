"""HTTP/1.1 and TLS towards senders and upstreams, byte for byte; it knows no FHIR."""
