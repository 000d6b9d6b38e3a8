"""Approvals: what moves or frees money on a person's word needs a second person, or a day.

Use it where a command is accepted (API route or its service), before the effect:

    answer = await approvals.permit(
        ApprovalAsk(
            action="kill.release",            # stable word of the action
            subject="pool:btcusdt",           # what it is done to
            body={"reason": "venue is back"}, # all of what is approved, shown to the second person
            request_id=made_id,               # what the Idempotency-Key stands for
        ),
        approver_of(principal),           # may they approve, and could anybody else
    )
    if isinstance(answer, ApprovalPending):
        ...  # nothing happens yet; show answer.approval
    # ApprovalGranted: do it. The same request_id is granted again after a crash, another never.

The second person sends the same command, which approves it and is granted at once, or approves it
by id (``POST /api/v1/approvals/{approval_id}/approve``) and the first sends it again.

An approval is bound to action, subject and every word of the body, is used once, lapses when it
gets old, and can be cancelled by each of the two. Its history is never changed.
"""
