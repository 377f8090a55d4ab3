"""`vllm bench serve` by its module, since the CPU build's `vllm` command does not start; everything else is
vLLM's own.

usage: python -m benchmarks.vllm_bench ARGUMENTS OF vllm bench serve
"""

from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser


def run() -> None:
    """Parse and run, as vLLM's command does."""
    parser = FlexibleArgumentParser(prog="vllm bench serve")
    add_cli_args(parser)
    main(parser.parse_args())


if __name__ == "__main__":
    run()
