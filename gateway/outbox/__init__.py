"""Submit, hold, dispatch, track, return: nothing lost, nothing delivered twice.

Others use:

- `outbox.Outbox`, `context.DeliveryContext`: everything that works on the ledger of a process, and what it works with;
- `submit.Submitter`, `order.Order`, `order.Receipt`: one message to be delivered, and what its sender is told;
- `returns.Returner`, `return_jobs.Job`: back to VKP.
"""
