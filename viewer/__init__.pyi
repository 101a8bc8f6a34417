from .comparison_page import comparison_page as comparison_page
from .evaluation_page import evaluation_page as evaluation_page
from .record import run_record as run_record
from .report import names_of as names_of, write_comparison as write_comparison, write_report as write_report
from .run_page import run_page as run_page
from .server import create_app as create_app
from .serving import serve_view as serve_view
