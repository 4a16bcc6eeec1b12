"""What travels on Kafka: structs, the id rule, headers, the table of topics. A leaf: no I/O, no clock."""
