"""Pure translation between wire forms, VKP R4 and calls to information services: no I/O, no clock."""
