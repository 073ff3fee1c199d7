"""The planner's logic without HTTP.

Others use:

- `override_rules`, `panics`: what people set now;
- `cutover.Cutover`, `cutover_plan.CutoverRequest`, `cutover_repository`, `cells.Cells`: a cutover, its plan and its state;
- `gathered`, `preflight.findings`, `stopped.said`, `scheduler.Scheduler`, `schedule`: what stops it and how that is told, and what switches it when its time has come;
- `traffic.with_traffic`, `traffic.what_if`, `gates.FAILED`: what a plan does to its cells' messages, and which of them count as failed;
- `standing.Standings`, `standing.by_name`, `standing.alphabetical`, `overview.rows`, `gates.suggested_gate`: where each municipality stands, the order of
  their names, and a gate that its traffic can open;
- `findings.grouped`: what was found in messages, for their vendor;
- `trial`: what would become of a message that somebody brings;
- `rehearsal.Rehearsals`, `comparison.Comparisons`, `report.rows`, `simulation.Play`: how far every cell has come, and how a plan would have gone.
"""
