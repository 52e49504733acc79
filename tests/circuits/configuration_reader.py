"""Parses configurations as ``bsb compile`` does: one JSON tree a line in, one JSON answer a line out."""

import json
import sys

from cerebellar_models.bsb_plugin.commands import enter_compile_mode


def answer(line: str) -> dict:
    from bsb import parse_configuration_content

    try:
        configuration = parse_configuration_content(line, parser="json")
    except Exception as error:  # any refusal is the answer
        return {"refused": f"{type(error).__name__}: {error}"}
    return {
        "connectivity": sorted(configuration.connectivity),
        "simulations": sorted(configuration.simulations),
        "seed": configuration.rng.seed,
    }


if __name__ == "__main__":
    enter_compile_mode()
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(answer(line)), file=answers, flush=True)
