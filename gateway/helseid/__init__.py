"""HelseID, NHN's token service: tokens of senders are verified here, and the gateway's own are fetched."""
