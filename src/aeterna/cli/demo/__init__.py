"""``aeterna demo``: a job on real text that is killed in the middle, twice, and ends as if nothing had happened.

``corpus``, ``index`` and ``answer`` are the job's own matter; ``job`` is the workflow, written as a user of Aeterna
would; ``worker`` is the process that gets killed; ``supervise`` kills and restarts it; ``proof`` and ``timeline``
show what happened.
"""
