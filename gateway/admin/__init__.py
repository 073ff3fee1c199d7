"""The admin port: access, endpoints and documents, one module per subject."""
