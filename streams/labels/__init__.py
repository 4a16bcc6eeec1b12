"""Labels: which touch a purchase is credited to, and when a touch is known to have ended without one."""
