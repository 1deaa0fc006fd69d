"""PURE: the handover table, restart policy, health verdict. State, input and the time in; new state and actions out."""
