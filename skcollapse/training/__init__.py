"""How features are moved: one problem, several solvers, the choice of what is auto."""
