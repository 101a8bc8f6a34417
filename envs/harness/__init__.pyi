from .comparison import (
    Comparison as Comparison,
    Evaluation as Evaluation,
    Flip as Flip,
    TemplateChange as TemplateChange,
    compare as compare,
    read_evaluation as read_evaluation,
    read_results as read_results,
)
from .environments import EnvKind as EnvKind, env_kind as env_kind, env_names as env_names, make_env as make_env
from .execution import evaluate as evaluate
from .export import write_json as write_json, write_parquet as write_parquet
from .fixation import Fixation as Fixation
from .inspect_format import inspect_log as inspect_log, write_inspect as write_inspect
from .journal import Journal as Journal
from .measures import per_kind as per_kind, per_template as per_template, summary as summary
from .policies import POLICIES as POLICIES, PolicyRunner as PolicyRunner, policy_spec as policy_spec
from .results import NEXUS_ENDINGS as NEXUS_ENDINGS, Result as Result, nexus_ending as nexus_ending
from .runner import Case as Case, Runner as Runner, RunnerSpec as RunnerSpec
from .statistics import (
    Interval as Interval,
    cluster_bootstrap as cluster_bootstrap,
    newcombe_paired as newcombe_paired,
    quantile as quantile,
    reversed_redundancy as reversed_redundancy,
    steps_ratio as steps_ratio,
    wilson as wilson,
)
from .suite import (
    Limits as Limits,
    Suite as Suite,
    load_suite as load_suite,
    random_case as random_case,
)
from .suite_files import suite_names as suite_names
