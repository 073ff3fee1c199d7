"""Norwegian health messages in SOAP: hodemelding (MsgHead) v1.2 with a note or FHIR in it."""
