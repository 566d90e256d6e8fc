"""The audit log: one line for each call that changes something or tries to, whichever API it came by. No secret is ever in it.

Lines have the event `audit` and the logger `omsd.audit`, which [log] level does not silence.
"""

from __future__ import annotations

from collections.abc import Mapping

from omsd.domain.access import Principal
from omsd.telemetry.logging import AUDIT_LOGGER, get_logger

OK = "ok"
CANCELLED = "CANCELLED"
# What came in a request that was refused may be of any size.
_VALUE_MAX = 1024

_log = get_logger(AUDIT_LOGGER)


def audit(
    principal: Principal | None,
    operation: str,
    *,
    address: str,
    project_id: str,
    resource: Mapping[str, str | int],
    outcome: str,
    request_id: str,
) -> None:
    """Write who did what to which resource, and what came of it.

    principal: None if the caller has not proved who it is. operation: as in domain/access.py. resource: ids by their names (task_id,
    group_id, sync_task_id), written as text, {} if the call got to none. outcome: OK, the code of the refusal, or CANCELLED if the
    caller has gone.
    """
    _log.info(
        "audit",
        user=principal.user if principal else "",
        domain=principal.domain if principal else "",
        method=str(principal.method) if principal else "",
        address=address,
        operation=operation,
        project_id=project_id[:_VALUE_MAX],
        **{name: str(value)[:_VALUE_MAX] for name, value in resource.items()},
        outcome=outcome,
        request_id=request_id,
    )


def audit_token(principal: Principal, project_id: str, *, address: str, expires_at_s: int) -> None:
    """Write that a token was given to a user who knew his password; project_id "": it is good for all of his."""
    _log.info(
        "token_issued",
        user=principal.user,
        domain=principal.domain,
        address=address,
        project_id=project_id,
        expires_at_s=expires_at_s,
    )
