"""HelseID: tokens and DPoP, in and out.

Others use:

- `token_verifier.TokenVerifier`, `claims.Claims`, `dpop_verifier.DpopVerifier`: who sends;
- `access_tokens.TokenSource`, `client_assertion.ClientKey`, `dpop.DpopProver`: tokens of our own;
- `issuer.Issuer`, `jws.ALGORITHMS`, `http`: HelseID's addresses and keys, and how its answers are read.
"""
