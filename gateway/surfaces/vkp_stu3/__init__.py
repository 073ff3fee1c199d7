"""VKP's STU3 interface: messages in XML and JSON."""
