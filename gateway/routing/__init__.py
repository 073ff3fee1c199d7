"""Which way a message goes: pure, and decided once.

Others use:

- `table.RouteTable`, `table.ActiveTable`, `table.Decision`: the table that decides, and the one in use;
- `route.Route`, `route.RouteSpec`, `route.Policies`: a route as it is decided by, and as it is written;
- `layers.Layer`, `layers.Layers`: what people set over the routes, and what wins;
- `explain.Explanation`, `diff.changed_cells`, `replay.replayed`, `replay.OfCell`, `index.winner`: why, what a change changes, and how the past would have gone.
"""
