"""The pages of the admin port, in Norwegian bokmål and English; each shows and does what an endpoint of the API does too."""
