"""One message that a person brings, as the gateway would read, decide and translate it: nothing is sent, and nothing is kept.

Others use `guess.guessed`, `trial.tried` and `examples.example_of`.
"""
