from .bus import Said as Said, heard as heard, member_conversation as member_conversation
from .roles import Role as Role, TeamLimits as TeamLimits, TeamSpec as TeamSpec, TeamWording as TeamWording
