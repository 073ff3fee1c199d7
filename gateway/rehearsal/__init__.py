"""What the new side would have made of messages that VKP answers."""
