"""How features are moved: one problem, several solvers, and the choice of what is auto."""
