"""Pages over real HTTP: who may see what, what each state shows, and that nothing in them can be misused."""
