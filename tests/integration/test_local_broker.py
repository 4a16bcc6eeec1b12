"""The local broker, with a real Kafka: start, stop, status, and what its errors say."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams import broker
from streams.broker import config, process
from streams.broker.folder import DataFolder, ProcessState
from streams.ops.settings import BrokerSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> BrokerSettings:
    # A blank and a letter that isn't ASCII: Java and Kafka must find the folder all the same.
    return BrokerSettings(data_dir=tmp_path_factory.mktemp("broker") / "my dätä", port=0)


@pytest.fixture(scope="module")
def info(settings: BrokerSettings) -> Iterator[broker.BrokerInfo]:
    """A broker, started by a process that has ended since."""
    program = (
        "import sys; from pathlib import Path; from streams import broker; "
        "from streams.ops.settings import BrokerSettings; "
        "print(broker.start(BrokerSettings(data_dir=Path(sys.argv[1]), port=0), on_progress=print).bootstrap)"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program, str(settings.data_dir)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    try:
        assert done.returncode == 0, done.stderr
        running = broker.status(settings)
        assert running is not None
        assert running.bootstrap == done.stdout.split()[-1]
        yield running
    finally:
        broker.stop(settings)


def create_topic(bootstrap: str, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(name, num_partitions=2)]).values():
        future.result(timeout=20)


def topics(bootstrap: str) -> set[str]:
    return set(AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=20).topics)


@pytest.mark.broker
def test_the_broker_outlives_its_starter_and_status_describes_it(
    settings: BrokerSettings, info: broker.BrokerInfo
) -> None:
    assert info.version.startswith("4.0.")
    assert info.bootstrap == f"127.0.0.1:{info.port}"
    assert info.data_dir == settings.data_dir
    assert "Kafka Server started" in info.log_file.read_text()
    assert info.rss_mb > 50
    assert psutil.Process(info.pid).parent() != psutil.Process()


@pytest.mark.broker
def test_a_second_start_returns_the_running_broker(settings: BrokerSettings, info: broker.BrokerInfo) -> None:
    assert broker.start(settings).pid == info.pid


@pytest.mark.broker
def test_a_consumer_group_reads_what_was_produced(info: broker.BrokerInfo) -> None:
    create_topic(info.bootstrap, "greetings")
    producer = Producer({"bootstrap.servers": info.bootstrap, "acks": "all"})
    producer.produce("greetings", key=b"user-1", value=b"hello")
    assert producer.flush(20) == 0
    group = {"group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"}
    consumer = Consumer({"bootstrap.servers": info.bootstrap, **group})
    try:
        consumer.subscribe(["greetings"])
        message = consumer.poll(20)
        assert message is not None
        assert (message.error(), message.key(), message.value()) == (None, b"user-1", b"hello")
        consumer.commit(message, asynchronous=False)
    finally:
        consumer.close()


@pytest.mark.broker
def test_an_unknown_topic_is_an_error_and_is_not_created(info: broker.BrokerInfo) -> None:
    failures: list[KafkaError] = []
    # librdkafka would wait 30 s for the topic to appear
    producer = Producer({"bootstrap.servers": info.bootstrap, "topic.metadata.propagation.max.ms": 0})
    producer.produce("misspelt", value=b"lost", on_delivery=lambda error, _: failures.append(error))
    assert producer.flush(20) == 0
    assert [failure.code() for failure in failures] == [KafkaError.UNKNOWN_TOPIC_OR_PART]
    assert "misspelt" not in topics(info.bootstrap)


@pytest.mark.broker
def test_only_loopback_sockets_listen(info: broker.BrokerInfo) -> None:
    connections = psutil.Process(info.pid).net_connections("inet")
    listening = [connection.laddr for connection in connections if connection.status == psutil.CONN_LISTEN]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert len(listening) == 2  # clients and controller
    assert info.port in {address.port for address in listening}


@pytest.mark.broker
def test_a_taken_port_is_named_with_its_owner_and_the_repair(info: broker.BrokerInfo, tmp_path: Path) -> None:
    with pytest.raises(broker.PortTakenError, match=rf"port {info.port} .*process {info.pid} .*CLICKWAKE_BROKER__PORT"):
        broker.start(BrokerSettings(data_dir=tmp_path / "other", port=info.port))
    assert broker.status(BrokerSettings(data_dir=tmp_path / "other")) is None


@pytest.mark.broker
def test_a_running_broker_without_its_state_file_keeps_its_data_folder(
    settings: BrokerSettings, info: broker.BrokerInfo
) -> None:
    folder = DataFolder.at(settings.data_dir)
    state = folder.state_file.rename(folder.root / "aside.json")
    try:
        with pytest.raises(broker.BrokerError, match=rf"in use by a running broker \(process {info.pid}\).*kill"):
            broker.start(settings, fresh=True)
    finally:
        state.rename(folder.state_file)
    assert broker.start(settings).pid == info.pid


@pytest.mark.broker
def test_two_starts_at_once_make_one_broker_that_survives_a_kill_with_its_topics_until_a_fresh_start(
    tmp_path: Path,
) -> None:
    settings = BrokerSettings(data_dir=tmp_path / "data", port=0)
    try:
        with ThreadPoolExecutor(2) as pool:
            one, other = pool.map(broker.start, [settings, settings])
        assert one.pid == other.pid
        create_topic(one.bootstrap, "kept")

        psutil.Process(one.pid).kill()
        wait_until_gone(settings, one.pid)
        with pytest.raises(broker.BrokerDiedError, match=rf"process {one.pid}.*Start it again") as died:
            broker.status(settings)
        assert "kept-0" in one.log_file.read_text()
        assert one.log_file.read_text().splitlines()[-1] in str(died.value)

        fixed = settings.model_copy(update={"port": one.port})
        again = broker.start(fixed)
        assert again.port == one.port
        assert "kept" in topics(again.bootstrap)

        told: list[str] = []
        fresh = broker.start(settings, fresh=True, on_progress=told.append)
        assert any(str(again.pid) in line for line in told)
        assert not psutil.pid_exists(again.pid)
        assert "kept" not in topics(fresh.bootstrap)

        assert broker.stop(settings)
        assert not psutil.pid_exists(fresh.pid)
        assert "App info kafka.server for 1 unregistered" in fresh.log_file.read_text()  # it closed its files
        assert broker.status(settings) is None
        assert not broker.stop(settings)
    finally:
        broker.stop(settings)


def wait_until_gone(settings: BrokerSettings, pid: int) -> None:
    deadline = time.monotonic() + 10
    while DataFolder.at(settings.data_dir).read_state() is not None and time.monotonic() < deadline:
        try:
            broker.status(settings)
        except broker.BrokerDiedError:
            return
    raise AssertionError(f"process {pid} is still there")


@pytest.mark.broker
def test_a_broker_that_dies_while_it_starts_shows_the_end_of_its_log(tmp_path: Path) -> None:
    settings = BrokerSettings(data_dir=tmp_path / "data", port=0)
    folder = DataFolder.at(settings.data_dir)
    folder.claim()
    folder.kafka.mkdir()  # looks formatted, but isn't
    with pytest.raises(broker.BrokerDiedError, match="ended before it was ready") as died:
        broker.start(settings)
    assert "No readable meta.properties files found" in str(died.value)
    assert str(folder.log_file) in str(died.value)
    assert broker.status(settings) is None


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_with_other_files_is_refused_and_left_as_it_is(fresh: bool, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(broker.BrokerError, match=r"isn't a data folder.*CLICKWAKE_BROKER__DATA_DIR"):
        broker.start(BrokerSettings(data_dir=tmp_path, port=0), fresh=fresh)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_process_that_got_the_process_id_of_a_dead_broker_is_never_ended(tmp_path: Path) -> None:
    settings = BrokerSettings(data_dir=tmp_path / "data", port=0)
    folder = DataFolder.at(settings.data_dir)
    folder.claim()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        try:
            folder.write_state(ProcessState(bystander.pid, 1, 2, "4.0.2"))
            with pytest.raises(broker.BrokerDiedError):
                broker.status(settings)
            assert not broker.stop(settings)
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_a_broker_that_was_started_this_instant_is_recognised_although_its_command_line_is_still_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = DataFolder.at(tmp_path / "data")
    real, looks = psutil.Process.cmdline, []

    def empty_at_first(self: psutil.Process) -> list[str]:
        looks.append(self.pid)
        return real(self) if len(looks) > 2 else []

    tag = f"-Dclickwake.broker={folder.root}"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", tag]) as ours:
        try:
            monkeypatch.setattr(psutil.Process, "cmdline", empty_at_first)
            assert process.is_ours(folder, ours.pid)
            assert len(looks) == 3
        finally:
            ours.kill()


def test_a_start_that_another_holds_up_for_too_long_says_so(tmp_path: Path) -> None:
    folder = DataFolder.at(tmp_path / "data")
    folder.claim()
    with folder.locked(1), pytest.raises(broker.BrokerError, match="another start or stop"), folder.locked(0.1):
        pass


def test_status_and_stop_of_a_folder_that_never_was_make_nothing(tmp_path: Path) -> None:
    settings = BrokerSettings(data_dir=tmp_path / "data", port=0)
    assert broker.status(settings) is None
    assert not broker.stop(settings)
    assert not settings.data_dir.exists()


def test_a_port_that_is_taken_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        with pytest.raises(broker.PortTakenError, match=f"port {port}"):
            broker.start(BrokerSettings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", port=port))
    assert not (tmp_path / "cache").exists()


def test_property_values_are_escaped_as_java_reads_them() -> None:
    text = config.render({"a": "C:\\dir x", "b": "ä😀"})
    assert text == "a=C:\\\\dir\\u0020x\nb=\\u00e4\\ud83d\\ude00\n"
