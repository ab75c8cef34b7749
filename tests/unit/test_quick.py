"""`make quick` chooses the tests of a change: the nearest first, and none that needs more than Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.quick import Source, changed_files, choose, quick_tests, read

ROOT = Path(__file__).resolve().parents[2]
BUDGET = """
import sys, time
from tests.quick import Budget
budget = Budget(time.monotonic(), float(sys.argv[1]))
print(budget.run(sys.argv[2:]), budget.left)
"""


def chosen(changed: str, **texts: str) -> list[str]:
    """Choose among files whose paths have `__` for each slash and no suffix; give their names without `tests/`."""
    sources = {
        path: Source(path, text, ("", "apps/shop/src/"))
        for path, text in ((f"{name.replace('__', '/')}.py", text) for name, text in texts.items())
    }
    return [name.removeprefix("tests/") for name in choose(sources, {changed})]


@pytest.mark.parametrize(
    "text",
    [
        "import lib.one",
        "from lib import one",
        "from lib.one import thing",
        "def test_it() -> None:\n    import lib.one",
    ],
)
def test_a_test_that_imports_what_changed_is_chosen(text: str) -> None:
    assert chosen("lib/one.py", tests__unit__test_a=text, tests__unit__test_b="import lib.two") == ["unit/test_a.py"]


def test_imports_are_found_from_every_directory_that_mypy_knows() -> None:
    assert chosen("apps/shop/src/shop/app.py", tests__unit__test_a="from shop.app import go") == ["unit/test_a.py"]


def test_a_module_that_changed_its_package_or_is_gone_is_a_change() -> None:
    assert chosen("lib/__init__.py", tests__unit__test_a="import lib") == ["unit/test_a.py"]
    assert chosen("lib/gone.py", tests__unit__test_a="import lib.gone") == ["unit/test_a.py"]


def test_support_files_are_followed_and_modules_are_not() -> None:
    found = chosen(
        "lib/one.py",
        lib__two="import lib.one",
        tests__unit__near_support="import lib.one",
        tests__unit__far_support="from tests.unit import near_support",
        tests__unit__test_far="import tests.unit.far_support",
        tests__unit__test_near="from tests.unit.near_support import thing",
        tests__unit__test_indirect="import lib.two",
    )
    assert found == ["unit/test_near.py", "unit/test_far.py"]


FIXTURES = "import pytest\nimport lib.one\n\n@pytest.fixture\ndef thing() -> int:\n    return 1\n"


def test_fixtures_count_for_the_tests_that_name_one_of_them_and_come_last() -> None:
    found = chosen(
        "lib/one.py",
        tests__cli__conftest=FIXTURES,
        tests__cli__test_a="def test_it(thing: int) -> None: ...",
        tests__cli__deep__test_b="def test_it(thing: int) -> None: ...",
        tests__cli__test_c="def test_it(things: int) -> None: ...",
        tests__unit__test_d="def test_it(thing: int) -> None: ...",
        tests__unit__test_e="import lib.one",
    )
    assert found == ["unit/test_e.py", "cli/deep/test_b.py", "cli/test_a.py"]


def test_fixtures_that_nobody_has_to_name_count_for_every_test_of_their_folder() -> None:
    texts = {"tests__cli__conftest": FIXTURES.replace("fixture", "fixture(autouse=True)"), "tests__cli__test_a": ""}
    assert chosen("lib/one.py", **texts) == ["cli/test_a.py"]


def test_the_tests_of_its_users_are_chosen_for_a_module_that_no_test_knows() -> None:
    texts = {"lib__two": "import lib.one", "lib__three": "import lib.two", "tests__unit__test_a": "import lib.three"}
    assert chosen("lib/one.py", **texts) == ["unit/test_a.py"]
    assert chosen("lib/one.py", **texts, tests__unit__test_b="import lib.one") == ["unit/test_b.py"]
    assert chosen("lib/one.py", lib__two="import lib.one") == []


def test_what_changed_itself_and_what_has_its_name_come_first() -> None:
    texts = {"tests__cli__test_a": "import lib.cost", "tests__cli__test_the_cost": "", "tests__cli__test_costly": ""}
    assert chosen("lib/cost.py", **texts) == ["cli/test_the_cost.py", "cli/test_a.py"]
    assert chosen("tests/cli/test_costly.py", **texts) == ["cli/test_costly.py"]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ("compose/edge/nginx.conf", 'ROOT / "compose/edge/nginx.conf"'),
        ("compose/edge/nginx.conf", 'ROOT / "compose" / "edge" / "nginx.conf"'),
        ("compose/edge/nginx.conf", 'ROOT / "compose" / tier / f"{name}.conf"'),
        ("compose/edge/nginx.conf", 'tree / "edge/nginx.conf"'),
        ("compose/edge/nginx.conf", '(ROOT / "compose").rglob("*")'),
        ("compose/edge/nginx.conf", '["compose/edge"]'),
        ("tests/unit/edge/nginx.conf", '(Path(__file__).resolve().parent / "edge").iterdir()'),
        ("inventory.yaml", '("versions.yaml", "inventory.yaml")'),
        ("Pulumi.local.yaml", 'f"Pulumi.{stack}.yaml"'),
        ("tests/unit/golden/user-data-edge.yaml", 'GOLDEN / f"user-data-{name}.yaml"'),
        ("docs/adr/0001.md", 'ROOT.glob("docs/**/*.md")'),
        ("docs/topology.md", 'ROOT.glob("docs/**/*.md")'),
        ("README.md", 'ROOT.glob("*.md")'),
    ],
)
def test_a_test_that_names_a_changed_file_is_chosen(changed: str, text: str) -> None:
    assert chosen(changed, tests__unit__test_a=text) == ["unit/test_a.py"]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ("compose/edge/nginx.conf", '"edge", "nginx", "compose"'),
        ("compose/edge/nginx.conf", 'ROOT / "nginx.conf"'),
        ("compose/edge/nginx.conf", 'Path(__file__).parent / "compose"'),
        ("compose/edge/nginx.conf", 'tree / "infra/nginx.conf"'),
        ("compose/edge/nginx.conf", '"[a-z]*/.*", f"{a}/{b}", "*", "*.conf"'),
        ("inventory.yaml", '"the inventory.yaml of somebody", "my-inventory.yaml"'),
        ("docs/topology.md", 'ROOT.glob("*.md")'),
    ],
)
def test_a_test_that_only_uses_the_same_words_is_not_chosen(changed: str, text: str) -> None:
    assert chosen(changed, tests__unit__test_a=text) == []


def test_a_changed_data_file_chooses_the_quick_tests_the_modules_that_name_it() -> None:
    texts = {"lib__one": 'root / "inventory.yaml"', "tests__unit__test_a": "import lib.one", "tests__unit__test_b": ""}
    assert chosen("inventory.yaml", **texts) == ["unit/test_a.py"]


@pytest.mark.parametrize("room", ["services", "e2e", "nightly"])
def test_nothing_that_needs_servers_docker_or_the_engine_is_chosen(room: str) -> None:
    marked = "import lib.one\npytestmark = pytest.mark.engine\n"
    texts = {f"tests__{room}__test_a": "import lib.one", "tests__cli__test_b": marked}
    assert chosen("lib/one.py", **texts) == []
    assert chosen(f"tests/{room}/test_a.py", **texts) == []


def test_a_file_that_is_no_python_yet_chooses_without_it() -> None:
    assert chosen("lib/one.py", tests__unit__test_a="import lib.one", tests__unit__test_b="def (") == ["unit/test_a.py"]


def test_here_a_modules_own_test_comes_first_and_most_tests_are_left_out() -> None:
    sources = read(ROOT)
    modules = {  # without suffix: this file has nothing to say when one of them changes
        "topology/costs": "tests/unit/test_topology_costs.py",
        "basec/commands/cost": "tests/cli/test_cost.py",
        "localcloud/doctor": "localcloud/tests/test_doctor.py",
    }
    data = {
        "cloud-init/base.yaml.j2": "tests/unit/test_topology_cloud_init.py",
        "docs/settings.md": "tests/unit/test_settings_doc.py",
        "scripts/install-servers": "tests/unit/test_install_servers.py",
    }
    for changed, first in {**{f"{name}.py": test for name, test in modules.items()}, **data}.items():
        assert (ROOT / changed).is_file(), changed
        found = choose(sources, {changed})
        assert first in found[:4], changed
        assert len(found) < len(quick_tests(sources)) / 4, changed


def git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *arguments], cwd=root, capture_output=True, check=True)


def commit(root: Path, *names: str) -> None:
    for name in names:
        (root / name).write_text(f"{name} once more")
    git(root, "add", ".")
    git(root, "commit", "-m", "next")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text("ignored\n")
    commit(tmp_path, "one", "two")
    commit(tmp_path, "three")
    return tmp_path


def test_on_a_clean_main_the_last_commit_is_what_changed(repository: Path) -> None:
    assert changed_files(repository) == {"three"}


def test_on_main_the_work_tree_is_what_changed(repository: Path) -> None:
    (repository / "one").write_text("edited")
    (repository / "two").unlink()
    for name in ("new", "ignored"):
        (repository / name).write_text("new")
    assert changed_files(repository) == {"one", "two", "new"}


def test_on_a_branch_its_commits_and_the_work_tree_count_but_not_mains_commits(repository: Path) -> None:
    git(repository, "checkout", "-b", "topic")
    commit(repository, "four")
    git(repository, "checkout", "main")
    commit(repository, "five")
    git(repository, "checkout", "topic")
    (repository / "one").write_text("edited")
    assert changed_files(repository) == {"four", "one"}


@pytest.mark.parametrize(("seconds", "case", "said"), [
    ("0", "", "True 1"), ("60", "", "True 0"), ("60", "assert False", "False 0"), ("0", "assert False", "False 1"),
])  # fmt: skip
def test_after_its_time_no_test_begins_and_a_failure_stays_one(
    tmp_path: Path, seconds: str, case: str, said: str
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  engine\n  real\n  linters\n")
    path = tmp_path / "test_two.py"
    path.write_text(f"def test_one():\n    {case or 'pass'}\n\ndef test_two():\n    pass\n")
    command = [sys.executable, "-c", BUDGET, seconds, str(path)]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == said, done.stdout + done.stderr
