"""What the actions of the handover table do: one file per concern, put together by `performing`.

Each class has two tables: ``does``, for what is done at once, and ``asks``, for what is waited for. An action is told
the generation it is about.
"""
