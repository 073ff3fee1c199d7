"""Who may do what at the admin port.

Others use:

- `authenticator.Authenticator`, `authenticator.AuthConfig`: who asks;
- `principal.Principal`, `rbac.may`, `rbac.Action`: who that is, and what the roles allow;
- `api_tokens.ApiToken`, `sessions.Session`, `oidc_login.CALLBACK`, `id_token.LoginRefused`: how they came in.
"""
