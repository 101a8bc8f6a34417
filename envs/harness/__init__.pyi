from .comparison import (
    Comparison as Comparison,
)
from .comparison import (
    Evaluation as Evaluation,
)
from .comparison import (
    Flip as Flip,
)
from .comparison import (
    TemplateChange as TemplateChange,
)
from .comparison import (
    compare as compare,
)
from .comparison import (
    read_evaluation as read_evaluation,
)
from .comparison import (
    read_results as read_results,
)
from .environments import EnvKind as EnvKind
from .environments import env_kind as env_kind
from .environments import env_names as env_names
from .environments import make_env as make_env
from .execution import evaluate as evaluate
from .export import write_json as write_json
from .export import write_parquet as write_parquet
from .inspect_format import inspect_log as inspect_log
from .inspect_format import write_inspect as write_inspect
from .journal import Journal as Journal
from .measures import per_kind as per_kind
from .measures import per_template as per_template
from .measures import summary as summary
from .page import comparison_page as comparison_page
from .page import write_page as write_page
from .policies import POLICIES as POLICIES
from .policies import PolicyRunner as PolicyRunner
from .policies import policy_spec as policy_spec
from .results import NEXUS_ENDINGS as NEXUS_ENDINGS
from .results import Result as Result
from .results import nexus_ending as nexus_ending
from .runner import Case as Case
from .runner import Runner as Runner
from .runner import RunnerSpec as RunnerSpec
from .statistics import (
    Interval as Interval,
)
from .statistics import (
    cluster_bootstrap as cluster_bootstrap,
)
from .statistics import (
    newcombe_paired as newcombe_paired,
)
from .statistics import (
    quantile as quantile,
)
from .statistics import (
    reversed_redundancy as reversed_redundancy,
)
from .statistics import (
    steps_ratio as steps_ratio,
)
from .statistics import (
    wilson as wilson,
)
from .suite import (
    Limits as Limits,
)
from .suite import (
    Suite as Suite,
)
from .suite import (
    load_suite as load_suite,
)
from .suite import (
    random_case as random_case,
)
from .suite_files import suite_names as suite_names
