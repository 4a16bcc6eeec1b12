"""The broker's configuration: one KRaft node, loopback only, small, fast to join groups.

Names and defaults: https://kafka.apache.org/40/documentation/#configuration
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

HOST = "127.0.0.1"
NODE_ID = 1


def server_properties(port: int, controller_port: int, log_dir: Path) -> dict[str, str]:
    """Kafka's settings; `log_dir` is where it keeps its data (Kafka calls its data "logs")."""
    return {
        "process.roles": "broker,controller",
        "node.id": str(NODE_ID),
        # The static quorum: unlike the dynamic one it doesn't write the port into the data, so that may change.
        "controller.quorum.voters": f"{NODE_ID}@{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(log_dir),
        # A misspelt topic is an error here as it is in production.
        "auto.create.topics.enable": "false",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "4",
        # One developer's consumers start alone: waiting for more members only delays each test.
        "group.initial.rebalance.delay.ms": "0",
        # A broker that was killed can register anew only when its old session is over; the default is 9 s.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # The default of 128 MiB is a quarter of the heap; this one compacts a million keys per pass.
        "log.cleaner.dedupe.buffer.size": str(32 * 1024 * 1024),
    }


def logging_properties(log_file: Path) -> dict[str, str]:
    """Log4j 2: everything of level INFO and above into `log_file`, at most 3 files of 16 MB."""
    older = log_file.with_name(f"{log_file.stem}.%i{log_file.suffix}")
    return {
        "status": "error",
        # Log4j's own hook would end the log at SIGTERM, before Kafka has told how its shutdown went.
        "shutdownHook": "disable",
        "appender.file.type": "RollingFile",
        "appender.file.name": "file",
        "appender.file.fileName": str(log_file),
        "appender.file.filePattern": str(older),
        "appender.file.layout.type": "PatternLayout",
        "appender.file.layout.pattern": "%d{ISO8601} %p %m (%c)%n",
        "appender.file.policies.type": "Policies",
        "appender.file.policies.size.type": "SizeBasedTriggeringPolicy",
        "appender.file.policies.size.size": "16MB",
        "appender.file.strategy.type": "DefaultRolloverStrategy",
        "appender.file.strategy.max": "2",
        "rootLogger.level": "info",
        "rootLogger.appenderRef.file.ref": "file",
    }


def render(properties: Mapping[str, str]) -> str:
    """Text of a Java properties file, pure ASCII: what isn't is escaped as UTF-16 units, as Java reads it."""
    return "".join(f"{key}={_escape(value)}\n" for key, value in properties.items())


def _escape(value: str) -> str:
    escaped = []
    for character in value:
        if character == "\\":
            escaped.append("\\\\")
        elif " " < character < "\x7f":
            escaped.append(character)
        else:  # also blanks: a leading one would be dropped
            units = character.encode("utf-16-be")
            escaped.extend(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
    return "".join(escaped)
