"""Makes the list `jars.sha256` anew: `python -m streams.broker.lock > new && mv new streams/broker/jars.sha256`.

For an upgrade of Kafka: change the coordinate below, make the list, read its diff, run the broker's tests. The list
trusts what the repository delivers on that day; from then on the digests bind.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from jgo.maven import MavenContext

# Kafka's own POM leaves the logging backend out; its distribution adds this one. The mark `!` keeps jgo from taking
# the dependency management of log4j's POM for the whole tree: without it, it sets kafka-clients to 3.9.1.
COORDINATES = ("org.apache.kafka:kafka_2.13:4.0.2", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5!")


def lock_text(coordinates: tuple[str, ...] = COORDINATES) -> str:
    """Resolve the coordinates with all they need at run time and return the text of the list. Needs the network."""
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        context = MavenContext(repo_cache=repository)
        inputs, transitive = context.resolver.resolve([context.create_dependency(c) for c in coordinates])
        needed = [*inputs, *(dep for dep in transitive if dep.scope in ("compile", "runtime"))]
        lines = set()
        for dependency in needed:
            jar = Path(dependency.artifact.resolve())
            digest = hashlib.sha256(jar.read_bytes()).hexdigest()
            lines.add(f"{digest}  {jar.relative_to(repository).as_posix()}\n")
    return "".join(sorted(lines, key=lambda line: line.split("  ")[1]))


if __name__ == "__main__":
    sys.stdout.write(lock_text())
