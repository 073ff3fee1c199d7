"""Who calls: systems by HelseID and people by OpenID Connect."""
