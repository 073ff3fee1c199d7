"""From routes.yaml to checked definitions; every problem carries its file, line and column.

Others use:

- `load.load`, `load.load_text`, `load.Loaded`: a file, checked, or what is wrong with it; `load.remember`, `load.recall`: the last that was taken;
- `directory.Directory`, `directory.envelope_of`: who is who, and by what a message is routed; `model.Config` and what it consists of; `upstreams.Upstream`, its kinds and `upstreams.of_kind`; `plans.CutoverPlan`, `plans.Freeze`;
- `route_specs.checked`, `cell_rules.is_enough`, `route_keys.POLICY_KEYS`: what holds for a route wherever it is written;
- `read_panics.panic_routes`: what a panic sets, wherever it is turned on;
- `service_file.read_services`: a municipality's file of who has which service;
- `values.seconds`, `values.is_loopback`: values as the file has them.
"""
