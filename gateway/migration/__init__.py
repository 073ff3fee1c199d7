"""The planner's logic without HTTP.

Others use:

- `override_rules`, `panics`: what people set now;
- `cutover.Cutover`, `cutover_plan.CutoverRequest`, `cutover_repository`, `cells.Cells`: a cutover, its plan and its state;
- `preflight.findings`, `scheduler.Scheduler`, `schedule`: what stops it, and what switches it when its time has come;
- `rehearsal.Rehearsals`, `report.rows`, `simulation.Play`: how far every cell has come, and how a plan would have gone.
"""
