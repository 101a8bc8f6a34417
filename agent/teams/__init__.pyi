from .bus import Said as Said, heard as heard, member_conversation as member_conversation
from .results import TeamEvent as TeamEvent, TeamResult as TeamResult, TeamTurn as TeamTurn
from .roles import Role as Role, TeamLimits as TeamLimits, TeamSpec as TeamSpec, TeamWording as TeamWording
from .running import TeamRun as TeamRun
from .team import Team as Team
