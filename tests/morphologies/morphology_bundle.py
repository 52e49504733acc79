"""What the tests of the morphologies share: the manifest, the samples as written, BSB's view of them."""

from pathlib import Path

import numpy as np
import yaml
from bsb import Morphology, parse_morphology_content
from numpy.typing import NDArray

from cerebellar_models.installation import bundle_folder

FOLDER = bundle_folder("morphologies")
CELLS = {
    entry["name"]: entry for entry in yaml.safe_load((FOLDER / "manifest.yaml").read_text())["morphologies"]
}


def path_of(cell: dict) -> Path:
    return FOLDER / cell["file"]


def samples(cell: dict) -> NDArray[np.float64]:
    """Rows of the file: sample, tag, x, y, z, radius, parent."""
    return np.loadtxt(path_of(cell))


def through_bsb(cell: dict) -> Morphology:
    return parse_morphology_content(path_of(cell).read_text(), **cell["bsb"]["parser"])


def points_of(morphology: Morphology, label: str) -> NDArray[np.float64]:
    return np.concatenate([branch.points[branch.get_label_mask([label])] for branch in morphology.branches])
