from hypothesis import HealthCheck, settings

# Tests share their machine with others: a slow draw says something about the machine, not about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")
