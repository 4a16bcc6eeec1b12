"""Sending, reading back and watching, with a real broker."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.cli import main
from streams.contracts.topics import Name
from streams.ops.clock import SystemClock
from streams.ops.settings import KafkaSettings
from streams.replay import kafka_source, watch
from streams.replay.kafka_source import KafkaSource
from streams.replay.produce import Pace, ProduceError, Sender, Totals
from streams.replay.sources import Row, SourceError, SourceEvent, SourceFault, open_source

pytestmark = pytest.mark.broker

_OLD_MS = 1_700_000_000_000


class _Rows:
    """A source of the given rows."""

    total_bytes = None
    bytes_read = 0

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)


def _event(number: int, user: str, ts_ms: int | None = None) -> SourceEvent:
    ts_ms = _OLD_MS + number if ts_ms is None else ts_ms
    value = {"type": "view", "event_id": f"e{number}", "user_id": user, "ts_ms": ts_ms, "item_id": "i"}
    return SourceEvent(number + 1, user.encode(), json.dumps(value).encode(), ts_ms)


def _bootstrap(kafka: KafkaSettings) -> str:
    assert kafka.bootstrap is not None
    return kafka.bootstrap


def _sender(kafka: KafkaSettings, **options: Any) -> Sender:
    return Sender(_bootstrap(kafka), kafka.topic_prefix, **options)


def _read(kafka: KafkaSettings, topic: str) -> list[watch.Output]:
    """All there is now, in the partition order, read independently of the code under test's merging."""
    total = sum(_ends(kafka, topic).values())
    outputs = watch.watch(_bootstrap(kafka), [topic], from_beginning=True, timeout_s=20)
    found = list(itertools.islice((output for output in outputs if output is not None), total))
    outputs.close()
    return found


def _ends(kafka: KafkaSettings, topic: str) -> dict[int, int]:
    from confluent_kafka.admin import OffsetSpec

    admin = AdminClient({"bootstrap.servers": _bootstrap(kafka)})
    partitions = admin.list_topics(timeout=10).topics[topic].partitions
    answers = admin.list_offsets({TopicPartition(topic, number): OffsetSpec.latest() for number in partitions})
    return {place.partition: future.result(timeout=10).offset for place, future in answers.items()}


def test_every_event_arrives_once_in_its_users_order_and_is_acknowledged(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str]
) -> None:
    rows: list[Row] = [_event(n, f"u{n % 37}") for n in range(5_000)]
    totals = _sender(kafka_topics).run(_Rows(rows))
    assert totals == Totals(read=5_000, sent=5_000, acknowledged=5_000)
    users: dict[bytes, list[bytes]] = defaultdict(list)
    places: dict[bytes, set[int]] = defaultdict(set)
    for output in _read(kafka_topics, physical_name(Name.EVENTS)):
        assert output.key is not None
        assert output.value is not None
        users[output.key].append(output.value)
        places[output.key].add(output.partition)
    for user, values in users.items():
        assert values == [row.value for row in rows if isinstance(row, SourceEvent) and row.key == user]
        assert len(places[user]) == 1
    assert len(users) == 37


def test_users_go_where_kafkas_java_clients_would_send_them(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str]
) -> None:
    from kafka.partitioner.default import murmur2

    _sender(kafka_topics).run(_Rows([_event(n, f"user-{n}-ü") for n in range(200)]))
    for output in _read(kafka_topics, physical_name(Name.EVENTS)):
        assert output.partition == (murmur2(output.key) & 0x7FFFFFFF) % kafka_topics.partitions


def test_the_record_time_is_arrival_and_cannot_be_claimed_by_the_event(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str]
) -> None:
    before_ms = SystemClock().now_ms()
    _sender(kafka_topics).run(_Rows([_event(0, "u")]))
    (output,) = _read(kafka_topics, physical_name(Name.EVENTS))
    assert before_ms - 1_000 <= output.arrival_ms <= SystemClock().now_ms() + 1_000


def test_catalogue_items_go_to_their_topic_and_unreadable_rows_nowhere(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str]
) -> None:
    item = SourceEvent(2, b"i1", b'{"item_id":"i1"}', _OLD_MS, "catalog")
    faults: list[SourceFault] = []
    rows: list[Row] = [_event(0, "u"), item, SourceFault(3, "no user"), _event(3, "u")]
    totals = _sender(kafka_topics, on_fault=faults.append).run(_Rows(rows))
    assert totals == Totals(read=4, sent=3, acknowledged=3, refused=1)
    assert faults == [SourceFault(3, "no user")]
    assert [output.value for output in _read(kafka_topics, physical_name(Name.CATALOG))] == [item.value]
    assert len(_read(kafka_topics, physical_name(Name.EVENTS))) == 2


def test_a_record_that_kafka_does_not_take_is_counted_and_the_others_go_on(kafka_topics: KafkaSettings) -> None:
    for size in (2 * 1024 * 1024 + 1, 3 * 1024 * 1024):
        huge = SourceEvent(2, b"u", bytes(size), _OLD_MS)  # zeros would fit if compressed
        incompressible = SourceEvent(2, b"u", random.Random(1).randbytes(size), _OLD_MS)
        for row in (huge, incompressible):
            sender = _sender(kafka_topics)
            totals = sender.run(_Rows([_event(0, "u"), row, _event(2, "u")]))
            assert totals == Totals(read=3, sent=3, acknowledged=2, failed=1)
            assert "too large" in sender.first_failure


def test_the_logs_own_tempo_is_kept_by_the_clock_that_is_given(kafka_topics: KafkaSettings) -> None:
    now_s, slept = [50.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now_s[0] += seconds

    rows: list[Row] = [_event(n, "u", _OLD_MS + at_ms) for n, at_ms in enumerate((0, 1_000, 500, 61_000))]
    sender = _sender(kafka_topics, pace=Pace(speed=2), sleep=sleep, monotonic=lambda: now_s[0])
    assert sender.run(_Rows(rows)).acknowledged == 4
    assert sum(slept) == pytest.approx(30.5), "61 s of log at twice the speed; a late event waits for nothing"


def test_a_rate_is_kept_by_the_clock_that_is_given(kafka_topics: KafkaSettings) -> None:
    now_s = [0.0]

    def sleep(seconds: float) -> None:
        now_s[0] += seconds

    sender = _sender(kafka_topics, pace=Pace(rate=10), sleep=sleep, monotonic=lambda: now_s[0])
    assert sender.run(_Rows([_event(n, "u") for n in range(51)])).acknowledged == 51
    assert now_s[0] == pytest.approx(5.0)


@pytest.mark.data
def test_real_clickstreams_arrive_whole_and_in_each_users_order(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str], shared_data: Path
) -> None:
    log = open_source(f"rees46:{shared_data / 'rees46' / '2019-10-01_first_hours.csv.gz'}")
    sent = [row for row in log if isinstance(row, SourceEvent)]
    totals = _sender(kafka_topics).run(log)
    assert (totals.sent, totals.acknowledged, totals.failed) == (len(sent), len(sent), 0)
    assert totals.refused == totals.read - len(sent) == 1, "its last row is cut short"
    users: dict[bytes | None, list[bytes | None]] = defaultdict(list)
    for output in _read(kafka_topics, physical_name(Name.EVENTS)):
        users[output.key].append(output.value)
    expected: dict[bytes | None, list[bytes | None]] = defaultdict(list)
    for row in sent:
        expected[row.key].append(row.value)
    assert users == expected


def test_a_limit_ends_early(kafka_topics: KafkaSettings) -> None:
    assert _sender(kafka_topics).run(_Rows([_event(n, "u") for n in range(50)]), limit=7).acknowledged == 7


def test_what_was_read_before_the_source_broke_is_delivered(kafka_topics: KafkaSettings) -> None:
    class Breaks(_Rows):
        def __iter__(self) -> Iterator[Row]:
            yield from (_event(n, "u") for n in range(10))
            raise SourceError("broken gzip at byte 7")

    sender = _sender(kafka_topics)
    with pytest.raises(SourceError):
        sender.run(Breaks([]))
    assert sender.totals.acknowledged == 10


def test_missing_topics_are_told_and_not_made(kafka_settings: KafkaSettings) -> None:
    with pytest.raises(ProduceError, match="clickwake topics apply"):
        _sender(kafka_settings).run(_Rows([_event(0, "u")]))
    names = AdminClient({"bootstrap.servers": _bootstrap(kafka_settings)}).list_topics(timeout=10).topics
    assert not [name for name in names if name.startswith(kafka_settings.topic_prefix)]


def test_a_topic_is_read_to_its_end_in_partition_order_and_by_arrival_across_partitions(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_source, "_BATCH", 40)  # so that partitions are read in turns
    topic = physical_name(Name.EVENTS)
    sent: list[Row] = [_event(n, f"u{n % 11}") for n in range(2_000)]
    for first in range(0, 2_000, 500):  # each part is acknowledged before the next is sent
        _sender(kafka_topics).run(_Rows(sent[first : first + 500]))
    source = KafkaSource(_bootstrap(kafka_topics), topic)
    for _ in range(2):
        rows = list(source)
        events = [row for row in rows if isinstance(row, SourceEvent)]
        assert [row.line for row in rows] == list(range(1, 2_001))
        assert source.read_records == source.total_records == 2_000
        for user in {row.key for row in events}:
            of_user = [row.value for row in events if row.key == user]
            assert of_user == [row.value for row in sent if isinstance(row, SourceEvent) and row.key == user]
        arrivals = [row.ts_ms for row in events]
        assert arrivals == sorted(arrivals)
        assert len(set(arrivals)) >= 4


def test_reading_ends_where_the_topic_ended_when_it_began(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str]
) -> None:
    _sender(kafka_topics).run(_Rows([_event(n, f"u{n}") for n in range(20)]))
    count = 0
    for _ in KafkaSource(_bootstrap(kafka_topics), physical_name(Name.EVENTS)):
        if count == 0:
            _sender(kafka_topics).run(_Rows([_event(n, f"u{n}") for n in range(20, 30)]))
        count += 1
    assert count == 20


def test_an_end_without_a_record_of_its_own_is_found_and_nothing_beyond_it_is_read(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A transaction's marker takes the last offset, as a gap left by compaction does.
    topic, bootstrap = physical_name(Name.CATALOG), _bootstrap(kafka_topics)
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic})
    producer.init_transactions(20)

    def write(value: bytes) -> None:
        producer.begin_transaction()
        producer.produce(topic, value, b"i")
        producer.commit_transaction(20)

    write(b"first")
    assert len(list(KafkaSource(bootstrap, topic))) == 1
    find = KafkaSource._bounds

    def find_and_then_more_comes(source: KafkaSource) -> dict[int, tuple[int, int]]:
        found = find(source)
        write(b"later")
        return found

    monkeypatch.setattr(KafkaSource, "_bounds", find_and_then_more_comes)
    (row,) = KafkaSource(bootstrap, topic)
    assert isinstance(row, SourceEvent)
    assert row.value == b"first"


def test_an_empty_topic_yields_nothing_and_a_missing_one_is_an_error(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str]
) -> None:
    assert list(KafkaSource(_bootstrap(kafka_topics), physical_name(Name.EVENTS))) == []
    with pytest.raises(SourceError, match="no such topic"):
        list(KafkaSource(_bootstrap(kafka_topics), "nowhere"))


def test_a_tombstone_is_a_fault_with_its_place(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str]
) -> None:
    topic = physical_name(Name.CATALOG)
    producer = Producer({"bootstrap.servers": _bootstrap(kafka_topics)})
    producer.produce(topic, b'{"item_id":"i"}', b"i")
    producer.produce(topic, None, b"i")
    assert producer.flush(10) == 0
    item, removal = KafkaSource(_bootstrap(kafka_topics), topic)
    assert isinstance(item, SourceEvent)
    assert item.topic == "catalog"
    assert removal == SourceFault(2, "partition 0, offset 1: no value")


def _output(offset: int, index: int = 0, epoch: int = 1) -> bytes:
    cause = {"topic": "t", "epoch": epoch, "partition": 0, "offset": offset, "event_id": "e"}
    return msgspec.json.encode({"seq": [offset, index], "cause": cause, "n": f"{epoch}:{offset}:{index}"})


def test_watching_shows_each_output_once(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = physical_name(Name.CONVERSIONS)
    producer = Producer({"bootstrap.servers": _bootstrap(kafka_topics)})
    written = [(0, 0), (0, 1), (5, 0), (0, 1), (5, 0), (7, 0)]
    for offset, index in written:
        producer.produce(topic, _output(offset, index), b"u", partition=0)
    producer.produce(topic, _output(5, 0), b"u", partition=1)  # another partition has its own marks
    assert producer.flush(10) == 0
    producer.produce(topic, _output(0, 0, epoch=2), b"u", partition=0)  # offsets start anew with an epoch
    producer.produce(topic, _output(7, 0, epoch=1), b"u", partition=0)  # a zombie of the one before
    assert producer.flush(10) == 0
    monkeypatch.setenv("CLICKWAKE_KAFKA__BOOTSTRAP", _bootstrap(kafka_topics))
    monkeypatch.setenv("CLICKWAKE_KAFKA__TOPIC_PREFIX", kafka_topics.topic_prefix)
    command = [sys.executable, "-m", "streams", "watch", "conversions", "--json", "--from-beginning", "--limit", "6"]
    done = subprocess.run([*command, "--timeout", "20"], capture_output=True, text=True, timeout=60, check=True)
    shown = sorted(json.loads(line)["n"] for line in done.stdout.splitlines())
    assert shown == ["1:0:0", "1:0:1", "1:5:0", "1:5:0", "1:7:0", "2:0:0"]
    assert done.stderr == ""


def test_watching_begins_at_the_end_unless_told_otherwise(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str]
) -> None:
    topic = physical_name(Name.CONVERSIONS)
    producer = Producer({"bootstrap.servers": _bootstrap(kafka_topics)})
    producer.produce(topic, _output(1), b"u")
    assert producer.flush(10) == 0
    outputs = watch.watch(_bootstrap(kafka_topics), [topic], timeout_s=20)
    assert next(outputs) is None, "the first look finds nothing"
    producer.produce(topic, _output(2), b"u")
    assert producer.flush(10) == 0
    found = next(output for output in outputs if output is not None)
    outputs.close()
    assert found.value == _output(2)


def _cli_json(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, Any, str]:
    with pytest.raises(SystemExit) as left:
        main([*command, "--json"])
    told = capsys.readouterr()
    return int(left.value.code or 0), json.loads(told.out), told.err


def test_the_command_line_sends_a_file_reports_faults_and_finds_all_in_order(
    kafka_topics: KafkaSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CLICKWAKE_KAFKA__BOOTSTRAP", _bootstrap(kafka_topics))
    monkeypatch.setenv("CLICKWAKE_KAFKA__TOPIC_PREFIX", kafka_topics.topic_prefix)
    monkeypatch.setenv("CLICKWAKE_KAFKA__PARTITIONS", str(kafka_topics.partitions))
    monkeypatch.setenv("CLICKWAKE_MODEL__STORE", str(tmp_path / "models"))
    good = [_event(n, f"u{n}").value for n in range(30)]
    bad = [b"{torn", *([b'{"type":"view"}'] * 24)]
    log = tmp_path / "events.jsonl"
    log.write_bytes(b"\n".join([*good[:10], *bad, *good[10:]]))
    code, totals, narration = _cli_json(capsys, "produce", f"jsonl:{log}")
    assert code == 0
    assert totals == {"read": 55, "sent": 30, "acknowledged": 30, "refused": 25, "failed": 0}
    lines = narration.splitlines()
    assert lines[0].startswith("line 11: refused: ")
    assert lines[19].startswith("line 30: refused: ")
    assert lines[20] == "... and 5 more rows refused"
    code, result, _ = _cli_json(capsys, "doctor")
    assert {check["name"]: check["state"] for check in result["checks"]} == dict.fromkeys(
        ("settings", "broker", "topics", "model store", "clock"), "ok"
    )
    assert code == 0


def test_the_doctor_names_missing_topics_and_the_repair(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLICKWAKE_KAFKA__BOOTSTRAP", _bootstrap(kafka_settings))
    monkeypatch.setenv("CLICKWAKE_KAFKA__TOPIC_PREFIX", kafka_settings.topic_prefix)
    code, result, _ = _cli_json(capsys, "doctor", "--settings")
    checks = {check["name"]: check for check in result["checks"]}
    assert code == 1
    assert (checks["topics"]["state"], checks["topics"]["repair"]) == ("failed", "clickwake topics apply")
    assert checks["clock"]["state"] == "skipped"
    assert result["settings"]["kafka.topic_prefix"] == kafka_settings.topic_prefix
