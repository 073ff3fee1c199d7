"""HTTP/1.1 and TLS towards senders and upstreams, byte for byte; it knows no FHIR.

Others use:

- `server.Server`, `server.Lane`, `forwarder.UpstreamTarget`: the data port, and where requests go on to;
- `connection_limits.ConnectionLimits`: how many connections senders may have;
- `pool.Pool`, `pool.UpstreamConnection`, `pool.Unreachable`: connections to a server that we call;
- `tls.Certificates`, `tls.ReloadingContext`, `certificate_files`: certificates, and files that are exchanged;
- `headers.request_head`: a head as it is written.
"""
