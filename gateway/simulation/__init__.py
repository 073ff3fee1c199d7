"""A national migration played through the real decision and gate code, at the speed of the machine."""
