"""Codecs and rules that hold for any FHIR release."""
