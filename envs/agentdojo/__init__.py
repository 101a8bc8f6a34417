"""AgentDojo's four suites (workspace, travel, banking, slack), its checks and its attacks, as an environment of tools.

The tasks, tools, checks and attacks are those of the package ``agentdojo`` (Debenedetti et al., arXiv 2406.13352).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
