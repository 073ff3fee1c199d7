"""HTTP/1.1 and TLS towards senders and upstreams, byte for byte; it knows no FHIR.

Others use:

- `server.Server`, `server.Lane`, `forwarder.UpstreamTarget`: the data port, and where requests go on to;
- `bounds.Bounds`: how long senders may take over what they do;
- `connection_limits.ConnectionLimits`: how many connections senders may have;
- `http_client.Caller`, `http_client.Answer`: requests of our own, each with its whole answer;
- `pool.Pool`, `pool.UpstreamConnection`, `pool.Unreachable`: connections to a server that we call;
- `resolver.Freshness`: for how long the addresses of names are used;
- `tls.Certificates`, `tls.ReloadingContext`, `certificate_files`: certificates, and files that are exchanged.
"""
