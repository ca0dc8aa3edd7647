"""The names and formats of other tokenizers over ours, each module in place of the one that its docstring names."""
