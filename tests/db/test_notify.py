"""Listening for notifications: how long a listener believes in a connection that says nothing."""

from __future__ import annotations

from koschei.db.engine import Database
from koschei.db.notify import Listener


def test_a_listener_notices_a_vanished_host_as_soon_as_every_other_connection_does(database_url: str) -> None:
    database, listener = Database(database_url), Listener(database_url, "polling")
    listener.listen()
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        usual = driver.info.dsn_parameters
        assert listener._connection is not None
        ours = listener._connection.info.dsn_parameters
        names = ("connect_timeout", "keepalives", "keepalives_idle", "keepalives_count", "tcp_user_timeout")
        assert [ours.get(name) for name in names] == ["5", "1", "20", "3", "50000"]
        assert [ours.get(name) for name in names] == [usual.get(name) for name in names]
    listener.close()
    database.dispose()
