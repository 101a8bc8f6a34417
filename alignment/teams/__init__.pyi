from .adherence import TeamJudgement as TeamJudgement, judge_team as judge_team
from .obedience import (
    AUTHORITIES as AUTHORITIES,
    Authority as Authority,
    Obedience as Obedience,
    ObedienceCell as ObedienceCell,
    Verdict as Verdict,
)
