from .obedience import (
    AUTHORITIES as AUTHORITIES,
    Authority as Authority,
    Obedience as Obedience,
    ObedienceCell as ObedienceCell,
    Verdict as Verdict,
)
