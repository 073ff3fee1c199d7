"""FHIR STU3 (VKP profiles v05 and v06) to VKP R4, a file for each kind of message or resource.

What R4 senders of the first years still write as STU3 had it (superseded dispense codes, Flags, sensor events as reasons) is
brought to today's profiles by the same rules.
"""
