"""A process of its own for work that takes the CPU, so that no sender waits while it has the interpreter.

Others use:

- `main`: what such a process does, and what goes over its pipes
- `process`: whoever asks it: how it starts, is lost and ends
"""
