"""Interfaces as senders know them.

Others use:

- `registry.SURFACES`, `registry.surface_at`: every surface, and the one that a path lies below;
- `base.Surface`, `base.AnswerContext`, `base.Content`: what a surface does, and with what;
- `search.Search`: what a retrieval asks for;
- `paths.Path`: a request's path in the one form that is compared;
- `vkp_r4`, `vkp_stu3`, `soap`: for what is sent back to VKP, and for commands.
"""
