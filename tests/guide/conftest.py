"""An installation as the operators' guide finds it, and a copy of its database for each command."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from demo.postgres import Postgres
from koschei.db.engine import Database
from koschei.koji import tasks
from tests.frontend.conftest import SECRET_KEY
from tests.guide.guide import Installation, furnish
from tests.koji_world import koji_world

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def installation(
    postgres: Postgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Koji's stand-in, settings, and a database with everything that the guide speaks of."""
    folder = tmp_path_factory.mktemp("guide")
    template = "operations_guide"
    url = postgres.create_database(template, migrated_template)
    with koji_world(folder, url) as world:
        furnish(world)
        world.database.dispose()
        koji = world.config.koji_config
        settings = folder / "settings.toml"
        settings.write_text(
            f'[koji_config]\nserver = "{koji.server}"\ntopurl = "{koji.topurl}"\nlogin_method = "login"\n'
            f'login_args = {{user = "koschei", password = "koschei"}}\n[directories]\ncachedir = "{folder}"\n'
            f'[flask]\nSECRET_KEY = "{SECRET_KEY}"\n'
        )
        yield Installation(postgres, template, settings, world.koji)
    postgres.drop_database(template)


@pytest.fixture
def database(installation: Installation) -> Iterator[Database]:
    """A copy of that database."""
    name = f"operations_guide_{next(_numbers)}"
    database = Database(installation.postgres.create_database(name, installation.template))
    yield database
    database.dispose()
    # Koji is the same for all: to the next database, these would be builds that nobody follows.
    for task in tasks.unfinished_submissions(installation.koji):
        tasks.cancel(installation.koji, task.id)
    installation.postgres.drop_database(name)
