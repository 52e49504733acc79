"""Mean rates of the canonical circuit beside the published ones: both states, the published and the default rule.

    python benchmarks/rates.py [--duration MS] [--json FILE]

The published rule lets a cell contact itself; the default rule does not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

RULES = {"published": ["--self-connections"], "default": []}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duration", type=float, default=2000.0, help="ms")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = [
        row
        for state in ("in_vitro", "awake")
        for rule in RULES
        for row in simulate(state, rule, options.duration, options.threads)
    ]
    print(
        "| state | rule | population | rate, firing cells (Hz) | all cells (Hz) | published (Hz) | deviation |"
    )
    print("|---|---|---|---|---|---|---|")
    for row in table:
        print(
            "| {state} | {rule} | {cell} | {firing:.2f} | {all:.2f} | {published:g} | {deviation:+.0%} |".format(
                **row
            )
        )
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def simulate(state: str, rule: str, duration: float, threads: int) -> list[dict]:
    """Rates of one run, in rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            "run",
            "--preset",
            "canonical",
            "--state",
            state,
            "--simulation",
            "basal_activity",
            *RULES[rule],
        ]
        arguments += ["--duration", str(duration), "--threads", str(threads), "-o", f"{folder}/run"]
        subprocess.run([sys.executable, "-m", "cerebellar_models", *arguments], check=True, stdout=sys.stderr)
        report = json.loads(Path(folder, "run", "report.json").read_text(encoding="utf-8"))
    return [
        {
            "state": state,
            "rule": rule,
            "cell": row["cell_type"],
            "firing": row["rate_firing_hz"]["mean"],
            "all": row["rate_all_hz"]["mean"],
            "published": row["comparison"]["published"]["mean_rate_hz"],
            "deviation": row["rate_firing_hz"]["mean"] / row["comparison"]["published"]["mean_rate_hz"] - 1,
        }
        for row in report["simulations"][0]["populations"]
        if row["comparison"]
    ]


if __name__ == "__main__":
    main()
