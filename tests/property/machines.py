"""How the state machines are run: a little on every run of the tests, in depth in CI."""

import os

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def explore(machine: type[RuleBasedStateMachine], *, examples: int) -> None:
    """Run a machine for 500 examples of 50 steps in CI, else for so many `examples` of 30 steps."""
    examples, steps = (500, 50) if "CI" in os.environ else (examples, 30)
    run_state_machine_as_test(
        machine,
        settings=settings(
            deadline=None,
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
