"""One page over the results of several suites: ``python scripts/benchmark_report.py runs``."""

import sys
from pathlib import Path

from autods.benchmarks.page import write_page

if __name__ == "__main__":
    print(write_page(Path(sys.argv[1])))
