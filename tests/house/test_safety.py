"""What never stands in the source: calls that run data, unpack blindly, skip certificates or listen to everybody."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.code import PACKAGES, Module, modules

OURS = modules(*PACKAGES)
RUNNING = {"eval", "exec", "compile", "__import__"}
UNPACKING = {"extractall", "extract", "unpack_archive"}
LOADING = {"yaml.load", "yaml.full_load", "yaml.unsafe_load", "torch.load", "marshal.loads", "marshal.load"}
MODULES = {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal", "zipfile", "tarfile", "xml.etree"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
EVERYBODY = ("0.0.0.0", "::")

# Who may hand bytes to a parser of another project, and what the guard did with them before.
PARSERS = {
    "racoon_data/dicom/headers.py": "behind scan()",
    "racoon_data/dicom/decoders.py": "a file we wrote, behind scan() again",
    "racoon_data/deid/identity.py": "a few elements of the byte tree",
    "racoon_data/deid/selfcheck.py": "a data set that the byte tree made",
    "racoon_data/deid/masking.py": "a few elements of the byte tree",
    "racoon_data/pacs/commitment.py": "a report behind walk_encoded()",
    "racoon_data/pacs/querying.py": "an answer behind walk_encoded()",
    "racoon_data/pacs/requests.py": "an identifier behind walk_encoded()",
}
PARSING = {"dcmread", "read_dataset", "read_file", "read_file_meta_info", "read_partial", "decode", "ImageFileReader",
           "ReadImage", "ImageSeriesReader", "FileSet", "ImageReader"}  # fmt: skip


def _calls(module: Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def _where(module: Module, node: ast.AST) -> str:
    return f"{module.name}:{getattr(node, 'lineno', 0)}"


def test_no_call_runs_or_unpacks_data():
    """No eval, exec, yaml.load, torch.load, extractall or shell stands in either package."""
    found = [
        f"{_where(module, call)}: {name}"
        for module in OURS
        for name, call in _calls(module)
        if name in RUNNING | LOADING | SHELLS or name.rpartition(".")[2] in UNPACKING
    ]

    assert found == []


def test_no_module_that_unpickles_or_unpacks_is_imported():
    """Neither pickle and its kin nor archive modules nor an XML parser that expands entities is imported."""
    found = []
    for module in OURS:
        for node in ast.walk(module.tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{_where(module, node)}: {name}" for name in names if _is_banned(name)]

    assert found == []


def _is_banned(name: str) -> bool:
    return name.split(".")[0] in MODULES or any(name.startswith(one) for one in MODULES if "." in one)


def test_no_process_is_started_through_a_shell():
    """Every process gets its arguments as a list."""
    found = [
        _where(module, call)
        for module in OURS
        for _, call in _calls(module)
        for keyword in call.keywords
        if keyword.arg == "shell" and ast.unparse(keyword.value) != "False"
    ]

    assert found == []


def test_certificates_are_always_verified():
    """No call turns the check of certificates off."""
    banned = {"verify": "False", "check_hostname": "False", "verify_mode": "ssl.CERT_NONE"}
    found = []
    for module in OURS:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.keyword) and banned.get(node.arg or "") == ast.unparse(node.value):
                found.append(f"{_where(module, node.value)}: {node.arg}")
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                target = node.targets[0].attr
                if banned.get(target) == ast.unparse(node.value):
                    found.append(f"{_where(module, node)}: {target}")
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "ssl._create_unverified_context":
                found.append(_where(module, node))

    assert found == []


def test_servers_listen_to_this_machine_unless_told():
    """No parameter, field or option that is an address defaults to every interface."""
    found = []
    for module in OURS:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                defaults = [*node.args.defaults, *(one for one in node.args.kw_defaults if one)]
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                defaults = [node.value]
            else:
                continue
            found += [_where(module, one) for one in defaults if _names_everybody(one)]

    assert found == []


def _names_everybody(default: ast.expr) -> bool:
    return any(isinstance(one, ast.Constant) and one.value in EVERYBODY for one in ast.walk(default))


def _imported_parsers(module: Module) -> set[str]:
    """Names in a module that stand for a parser of pydicom, pynetdicom or SimpleITK."""
    foreign = ("pydicom", "pynetdicom", "SimpleITK", "gdcm", "highdicom", "nibabel")
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in foreign:
            found |= {alias.asname or alias.name for alias in node.names if alias.name in PARSING}
    return found


def _foreign_calls(module: Module) -> Iterator[str]:
    imported = _imported_parsers(module)
    for name, _ in _calls(module):
        first, last = name.split(".")[0], name.rpartition(".")[2]
        if name in imported or (first in ("pydicom", "sitk", "gdcm", "nibabel", "nib") and last in PARSING):
            yield name


def test_only_listed_modules_reach_a_foreign_parser():
    """Bytes reach pydicom, GDCM and SimpleITK in few places, and each says what the guard did before."""
    reach = {module.name for module in OURS if "/testing/" not in module.name and any(_foreign_calls(module))}

    assert reach <= set(PARSERS)


@pytest.mark.parametrize(
    "source", ["eval('1')", "import pickle", "from xml.etree import ElementTree", "a.extractall()"]
)
def test_these_tests_can_fail(source):
    """A planted call is found."""
    tree = ast.parse(source)
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]

    assert any(name in RUNNING or name.rpartition(".")[2] in UNPACKING for name in calls) or any(map(_is_banned, names))
