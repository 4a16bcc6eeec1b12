"""Operations: settings, clock, logging, metrics, health and the doctor's checks."""
